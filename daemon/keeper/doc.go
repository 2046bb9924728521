// Package keeper is the gatekeeper: one process per task, outside the sandbox.
// It enrols the task, builds the walls, decides and performs what the agent
// attempts, and ends everything when the task ends.
package keeper
