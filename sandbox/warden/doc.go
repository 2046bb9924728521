// Package warden keeps protected names from coming into being inside a
// writable workspace: at any depth, also in directories made later, without
// ghost files and without an overlay. What is protected and exists already is
// a read-only mount made by the walls; the warden does the rest.
//
// Two parts make it safe:
//
//   - The agent's Landlock domain grants everything in a guarded tree except
//     [Withheld]. So the kernel itself refuses to create, link or move a name
//     there, whichever system call is used and whoever wins a race.
//   - The agent's seccomp filter ([Install]) hands each system call that makes
//     a name to the [Warden], which runs in the sandbox's PID 1: same mounts,
//     same user, no Landlock domain. It resolves the parent directory, decides
//     on its own copy of the name, and makes the file itself. All else it
//     answers with "continue", which is always safe, because then the kernel
//     runs the call inside the Landlock domain.
//
// What is decided is a pair: a directory (an open descriptor inside a guarded
// tree) and a last name. How the agent spelled the way to that directory does
// not matter to the decision, so changing the spelling during the call gains
// nothing. Names in a guarded tree come into being only through the warden,
// which serialises renames against everything else.
//
// For names of several parts (".github/workflows") this is kept true at each
// step: no path in the tree holds one, and no link has the name of a first part.
// A new name can complete one only at its end; a moved directory only with what
// is inside, where the warden looks for what would.
//
// # Order of calls
//
//	agent's side, one locked thread, just before exec:
//	    prctl(PR_SET_NO_NEW_PRIVS); landlock_restrict_self
//	    Prove(roots...)            // Landlock really withholds: else refuse to start
//	    main seccomp filter        // must allow seccomp(2) and sendmsg(2) until here
//	    fd, err := Install()       // stacked; from here on, nothing may be created
//	    SendListener(sock, fd)     // sock: one end of an AF_UNIX socket pair
//	    execve
//	sandbox's PID 1, the agent's parent:
//	    fd, err := ReceiveListener(sock)
//	    w, err := New(fd, rules)   // refuses what it cannot guard
//	    go w.Serve()
//
// # What the walls must see to
//
//   - Every Root is a mount point (a bind mount is enough), made before New,
//     and no directory above it can be moved by the agent: else its names are
//     refused, for they are no longer where the rules say.
//   - The Landlock ruleset handles all of [Withheld], and no rule on a Root or
//     on any ancestor of a Root grants any of it: rights of ancestors add up.
//     Prove tests exactly this. A second mount that shows the same directories
//     under a rule that grants Withheld would be a way around, which Prove
//     cannot see.
//   - Everything on a Root's own mount is writable by the agent. What is
//     read-only inside is a read-only mount of its own.
//   - Existing protected names, at any depth, are read-only mounts. What git
//     obeys in a git directory that exists at the start (hooks, config,
//     config.worktree, commondir, info/attributes, and where core.hooksPath
//     leads) is also given as Paths, where it does not exist yet; and so is
//     what a link that exists would complete: with `sub/.github -> meta`,
//     "sub/.github/workflows". New follows such links.
//   - PID 1 and the agent have the same user and group ids; the agent has no
//     capabilities, cannot ptrace PID 1, cannot mount, chroot, make namespaces,
//     or use io_uring, userfaultfd and 32-bit system calls.
//   - /proc is the sandbox's own, mounted where PID 1 can read it. Should PID 1
//     filter itself, it leaves the warden ioctl, process_vm_readv, pidfd_open,
//     pidfd_getfd, unshare (CLONE_FS), capset, umask, fchdir, bind and the
//     calls on files.
//
// # What is not guarded
//
// Repositories, submodules and worktrees that the agent makes itself: their
// hooks and settings are files like others. Contents of files that exist. What
// a nested Landlock domain of the agent's would forbid: the warden could not
// see it, so the filter answers that there is no Landlock. A process that
// cannot be read (PR_SET_DUMPABLE, a program without read permission) can make
// nothing in a guarded tree, and openat2 answers ENOSYS.
//
// Needs Linux 5.19 (Landlock's second version, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV).
package warden
