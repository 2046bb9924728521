// Package ambittest is what end-to-end tests need around Ambit: stand-in
// servers that real programs talk to and that remember all they saw, secrets
// that can be searched for, homes and workspaces to throw away, and the built
// binary itself, run as root or as an ordinary user.
//
// Every stand-in answers as the real service does as far as its clients can
// tell; none of them knows Ambit.
package ambittest
