// Package e2e holds the end-to-end tests: the built binary runs real programs
// against stand-in services, and what is looked at afterwards is the state of
// the world: files, the servers' own memory, processes and mounts.
package e2e
