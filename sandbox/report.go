package sandbox

import "strings"

// Report says what the walls enforce for one task. It is a fact of the task's
// first record.
type Report struct {
	System string `json:"system"` // "linux 6.8.0 amd64"
	Walls  []Wall `json:"walls"`
}

// Wall is one of them.
type Wall struct {
	Name     string `json:"name"`
	Enforced bool   `json:"enforced"`
	How      string `json:"how"` // what enforces it, or why nothing does
}

func (r *Report) add(name string, enforced bool, how string) {
	r.Walls = append(r.Walls, Wall{name, enforced, how})
}

// Missing returns the walls that are not enforced.
func (r Report) Missing() []Wall {
	var out []Wall
	for _, w := range r.Walls {
		if !w.Enforced {
			out = append(out, w)
		}
	}
	return out
}

// String prints one line a wall.
func (r Report) String() string {
	var b strings.Builder
	b.WriteString(r.System + "\n")
	for _, w := range r.Walls {
		mark := "yes"
		if !w.Enforced {
			mark = "NO "
		}
		b.WriteString(mark + "  " + w.Name + ": " + w.How + "\n")
	}
	return b.String()
}

// Finding is one thing that Doctor looked at.
type Finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // without it Start refuses
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"` // what to do, with the commands
}

// ConfineSpec is what the gatekeeper keeps after Confine. Descriptors that are
// open keep working.
type ConfineSpec struct {
	ReadFiles  []string // files and directories that may still be read
	WriteFiles []string // files and directories that may still be written and made
}
