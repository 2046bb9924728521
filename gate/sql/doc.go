// Package sql is the gate for PostgreSQL (protocol 3.0): it speaks the wire with
// the agent and with the database, and takes every statement through the pipeline
// before the database sees it. The database enforces the rights of the task's role;
// the gate is for effects, questions and the log.
//
// A connection of the agent is one action that lasts as long as the connection does.
// Each execution within it is an action for every table and operation that it
// touches, one inside the other: it is sent when the last of them is permitted.
//
// One goroutine reads what the agent sends and one what the database sends; a third
// runs the session. The second passes results on as they come, in bounded memory,
// and tells the third where an execution ends.
package sql
