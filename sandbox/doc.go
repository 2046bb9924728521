// Package sandbox is the walls: it runs one command with exactly the files, the
// ports and the limits of a [Spec], as an ordinary user and without a container
// engine, and reports what it enforced.
//
// [Start] builds the walls with the command held back; [Sandbox.Go] lets it run.
// The walls are, on Linux: fresh user, mount, PID, network, IPC, UTS and cgroup
// namespaces; a root made of allow-listed mounts; Landlock with the same rules;
// a system call filter that lists what is allowed; no capabilities and no way to
// gain any; limits by control group where one may be made, by resource limit
// elsewhere. Nothing is best effort: what cannot be enforced is an error of
// Start, or, where the Spec does not demand it, a line of the [Report] that says so.
//
// In the task's network namespace every address is local. Each port of
// Spec.TCPPorts has one listener there, whose descriptor the gatekeeper holds;
// the local address of an accepted connection is the address that the agent
// dialled. Every other port is refused at once.
//
// The process that runs init is this same binary: see [ambit/sandbox/stage].
// The gatekeeper, once it serves, puts itself behind walls with [Confine], after
// Start: a process that has confined itself can start no other. [Sandbox.Seal] keeps
// the agent from handing it a descriptor.
package sandbox
