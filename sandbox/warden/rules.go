package warden

// Rules say what is protected where. The zero value guards nothing and is
// refused by [New].
type Rules struct {
	Trees []Tree
	// Denied, when set, is told of refusals, from one goroutine and at most
	// ten times a second, never after Serve has returned; a burst beyond 16 is
	// not told. [Warden.Refused] counts all of them. The path is
	// absolute as the sandbox sees it; its last name is the agent's bytes.
	Denied func(path string)
}

// Tree is one guarded tree: a mount point inside which the agent may write.
// Paths, Allowed and Mounts are relative to Root, or absolute and inside it.
type Tree struct {
	Root string // absolute, clean, a mount point in the sandbox's view

	// Names may not be created at any depth, nor anything below them:
	// ".envrc", ".vscode"; a "*" at one end stands for any letters: "id_rsa*".
	// Several parts stand below one another: ".github/workflows". What leads to
	// those (any ".github") can be a directory or a file, and no link, and a
	// directory gets such a name only without what would complete it inside.
	// Compared as case-insensitive file systems would
	// (case, trailing dots and spaces, ignorable characters, streams).
	Names []string

	// Paths may not come into being at this place, nor anything below them:
	// ".git/hooks", "sub/.git/config". What leads to one ("sub/.git") can be
	// made only as a directory, and not moved once it is there.
	Paths []string

	// Allowed are exceptions, by literal path: ".github/workflows" or
	// "tools/.vscode" may be created with what is below, which Names and Paths
	// would refuse. An exception does not cover other protected names below it.
	Allowed []string

	// Mounts are the existing protected paths that the walls made read-only.
	// What leads to them cannot be moved.
	Mounts []string
}
