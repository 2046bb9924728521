// Package grants is the grants file: parse, canonical form, compile, decide and
// explain. All of it is pure: no file, no network, no clock. What a decision
// needs to know of the world is given in as [Facts].
//
//	Parse   bytes → *File      the syntax tree, or all errors with line and column
//	Compile *File → *Grants    checked against what the kinds of service can do
//	Decide  action → verdict   under a microsecond, without allocation
//
// Use [Load] to parse and compile in one step and get the errors of both.
package grants
