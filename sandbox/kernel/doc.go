// Package kernel is the thin edge to Linux that the walls need and package
// syscall lacks: the mount API with descriptors (Linux 5.2, 5.12), openat2
// (5.6), Landlock (5.13), seccomp filters, capabilities.
//
// It imports only syscall, runtime and unsafe. Go initialises packages in the order of
// their import paths once their own imports are ready; because this package and
// [ambit/sandbox/stage] need so little, the sandbox's init process takes over
// before the rest of the binary has initialised itself.
package kernel
