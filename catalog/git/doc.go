// Package git reads what git sends over HTTP: the commands of a push, the
// commits at the beginning of its pack, and the answers to the one question
// that is asked of a server (gitprotocol-common, gitprotocol-http,
// gitprotocol-pack and gitprotocol-v2 of git's Documentation).
//
// It is pure: bytes in, values out. Every byte may have been chosen by an
// agent, so that everything is bounded, and what cannot be read proves
// nothing: at worst a push then counts as one that throws commits away.
package git
