// Package ambit is the vocabulary of the house: the words that every other
// package speaks. It does no I/O, keeps no state and imports nothing of Ambit.
//
// Every zero value here refuses: the zero [Verdict] is deny, the zero [Effect]
// is unknown and counts as irreversible, the zero [Outcome] is unknown and
// counts as possibly performed.
package ambit
