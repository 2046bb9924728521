package sandbox

import (
	"os"
	"time"
)

// Access says what the agent may do with a path. The zero value refuses.
type Access uint8

// The accesses.
const (
	_           Access = iota
	ReadOnly           // read, list and run
	Writable           // also change, make and remove; Protect applies
	CopyOnWrite        // as Writable, but changes go to Scratch and are thrown away
	Hidden             // the path exists and cannot be read
)

// File grants or hides one path of the host, with all that is below it.
type File struct {
	Path   string // absolute path on the host; a symbolic link is resolved when the sandbox starts
	At     string // absolute path inside; "" is Path
	Access Access
	// Secrets hides what Protect.Secrets names below the path.
	Secrets bool
}

// Protect names what may not come into being or change inside writable paths.
type Protect struct {
	// Names are protected at any depth: ".envrc", "id_rsa*", "*.pem"; several
	// parts stand below one another: ".github/workflows".
	Names []string
	// Repository is what git (or hg) obeys inside a repository: ".git/hooks". It
	// is protected at the top of a writable path, and in repositories that are
	// there when the sandbox starts. What the agent makes later is its own.
	Repository []string
	Paths      []string // single places: absolute paths inside, or relative to a writable path
	Allowed    []string // exceptions: absolute paths inside, or relative to a writable path

	// Secrets are names, at any depth of a File that says Secrets, whose content
	// the agent must not read. Conceal is asked which of those that exist are
	// hidden; nil hides all. Exceptions hold here too.
	Secrets []string
	Conceal func(root string, rel []string) (hide []string, err error)
}

// Limits bound the whole task. A zero number is a default; a demanded limit that
// the machine cannot enforce for the whole task is an error of Start.
type Limits struct {
	Memory    int64   // bytes; default ¾ of the machine's memory
	Processes int64   // processes and threads; default 4096
	CPUs      float64 // processors' worth of time; default unlimited
	OpenFiles int64   // descriptors of one process; default 65536
	Temporary int64   // bytes below /tmp and /dev/shm each; default half of Memory

	DemandMemory, DemandProcesses, DemandCPUs bool
}

// Spec is one task's sandbox. Everything that it does not name is refused.
type Spec struct {
	Argv     []string // Argv[0] is a path inside, or a name to find in Env's PATH
	Dir      string   // working directory inside, absolute
	Env      []string // "NAME=value", exactly what the command gets
	Hostname string   // "" is "ambit"

	Files   []File
	Home    string // host directory that becomes the agent's home; "" gives an empty one that is thrown away
	HomeAt  string // where it is inside; "" is /home/agent
	Protect Protect
	Data    map[string][]byte // small read-only files made inside, by absolute path; they win over everything but Files

	TCPPorts []uint16 // at most 200; 53 is always there
	Socket   string   // a listening Unix socket made inside at this path; "" is none
	Self     string   // path inside at which this program is visible; "" is nowhere

	// Scratch is an existing host directory for the task's throw-away data. The
	// walls write nowhere else. Clean removes it.
	Scratch string
	Limits  Limits

	// Terminal gives the command a terminal of its own and copies between it and
	// Stdin and Stdout, which must be a terminal then. Otherwise the command gets
	// Stdin, Stdout and Stderr themselves; nil is /dev/null.
	Terminal              bool
	Stdin, Stdout, Stderr *os.File
}

// Status says how the command ended.
type Status struct {
	Code   int           // exit code, when Signal is 0
	Signal int           // the signal that ended it
	Wall   time.Duration // from Go to the end
}

// Exit returns the status as a shell would: the code, or 128 and the signal.
func (s Status) Exit() int {
	if s.Signal != 0 {
		return 128 + s.Signal
	}
	return s.Code
}

// DefaultHome is where the agent's home is inside.
const DefaultHome = "/home/agent"
