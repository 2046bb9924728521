package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"ambit"
)

// prompt starts the process that asks on the terminal. It is not this one,
// which parses what the agent sends and so must not be able to answer.
func prompt(task ambit.TaskID) (func(), error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return func() {}, nil // there is no terminal: questions wait for `ambit approvals`
	}
	defer tty.Close()
	// The confined gatekeeper can signal no process outside: the prompt ends when
	// this pipe does.
	hangup, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot ask on the terminal: %w", err)
	}
	defer hangup.Close()
	c := exec.Command("/proc/self/exe", "watch", "--answer", "--task", string(task), "--hang-up", "3")
	c.Stdin, c.Stdout, c.Stderr, c.ExtraFiles = tty, tty, tty, []*os.File{hangup}
	// It must not outlive the run, nor keep its output open.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("cannot ask on the terminal: %w", err)
	}
	return func() { ours.Close(); c.Wait() }, nil
}
