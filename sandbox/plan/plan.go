// Package plan is what the sandbox's init process has to do, in the order in
// which it has to do it, and the frames by which it and the gatekeeper talk.
// The gatekeeper works everything out; init executes and decides nothing.
//
// It imports nothing but unsafe, for the reason given in [ambit/sandbox/kernel].
package plan

// Op is the kind of a step. The zero Op is refused.
type Op uint8

// The steps that build the root. Targets are absolute paths of the new root.
const (
	_        Op = iota
	Dir         // make the directory Target and its parents; Flags is the mode
	File        // make the file Target with Data, or with what the host's small file Source holds; Flags is the mode
	Symlink     // make Target a symbolic link to Source
	Bind        // show the host's Source at Target, with the mounts below it; Flags are mount attributes
	BindSelf    // put Target, which exists already, on itself with Flags
	Tmpfs       // a fresh tmpfs at Target with the options in Source; Flags are attributes
	Proc        // a fresh proc at Target
	Pts         // a fresh devpts at Target
	Overlay     // Source below, Data = "upper\x00work" above, at Target
	Mask        // make Target, when it exists, unreadable
	MaskMust    // make Target unreadable; its absence is an error
	SealRoot    // make the root's own tmpfs read-only
)

// MaxCopied is the largest file of the host that a File can copy, in bytes.
const MaxCopied = 16 << 10

// Directory is the Data of a Bind without Ino whose Source is a directory.
const Directory = "directory"

// Step is one step. When Ino is not zero, Source must be that very file.
type Step struct {
	Op             Op
	Target, Source string
	Data           string
	Flags          uint64
	Dev, Ino       uint64
}

// Rule gives the agent the Landlock rights on everything at and below Path.
// Rights that only directories have are dropped when it is none.
type Rule struct {
	Path   string
	Rights uint64
}

// Limit is one resource limit, see setrlimit(2).
type Limit struct {
	Resource   int
	Soft, Hard uint64
}

// Guard is one tree in which protected names may not come into being; its
// fields are those of the warden's Tree.
type Guard struct {
	Root                          string
	Names, Paths, Allowed, Mounts []string
}

// Plan is everything that init does.
type Plan struct {
	Hostname string
	Steps    []Step

	Handled, Scoped uint64 // Landlock's file rights and scopes
	Rules           []Rule
	StdRights       [3]uint64 // Landlock rights on descriptors 0, 1, 2 when they are files; 0: none

	Ports    []uint16
	Resolver bool   // UDP and TCP port 53
	Socket   string // a listening Unix socket; "" is none

	Terminal   bool
	Rows, Cols uint16

	Limits      []Limit
	InitFilter  string // struct sock_filter, in memory order
	AgentFilter string
	Guards      []Guard // the warden's trees; none runs no warden

	Argv, Env []string
	Dir       string
	Probe     bool // stop after building the walls
}
