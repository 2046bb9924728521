// Package stage is the sandbox's init process: PID 1 of the task's PID
// namespace. Import it for its effect from every program that calls
// sandbox.Start, as package sandbox itself does.
//
// It holds the project's one init function. When the process is PID 1, its
// argv[0] is init's and descriptor 3 is a socket whose other end lives outside
// the PID namespace, the function takes over and never returns. In a process
// whose command line is that of `ambit run` it starts the init that this will need;
// in any other it costs getpid(2) and a look at /proc/self/cmdline. It runs before most
// packages of the binary are initialised, because it imports so few: that halves the
// time in which a sandbox starts. Which packages it may import, and those that it
// imports, is a list in internal/arrows.
//
// An agent that starts the binary with the same argv[0] gains nothing: it cannot
// become PID 1 of a namespace, and a plan is carried out with the caller's own
// rights only.
package stage
