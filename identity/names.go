package identity

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"ambit"
)

// MaxName bounds an agent's name, in bytes.
const MaxName = 64

// CheckName accepts an agent's name: 1 to 64 of a-z, 0-9, "-", "_" and ".",
// the first a letter or digit.
func CheckName(name string) error {
	ok := name != "" && len(name) <= MaxName
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		ok = ok && (letter || i > 0 && strings.ContainsRune("-_.", r))
	}
	if !ok {
		return fmt.Errorf("cannot name an agent %q: want 1 to %d of a-z, 0-9, '-', '_', '.', beginning with a letter or digit", clip(name), MaxName)
	}
	return nil
}

// checkText accepts a line that people wrote: an owner, a purpose, a person.
func checkText(what, s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("cannot enrol: the %s has %d bytes, at most %d", what, len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("cannot enrol: the %s is not UTF-8", what)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("cannot enrol: the %s holds a character that cannot be seen: %q", what, clip(s))
	}
	return nil
}

// id makes the SPIFFE ID of a task.
func (a *Authority) id(agent string, task ambit.TaskID) (spiffeid.ID, error) {
	return spiffeid.FromSegments(a.domain, "agent", agent, "task", string(task))
}

// parseID reads a SPIFFE ID of this authority and returns its parts.
func (a *Authority) parseID(s string) (agent string, task ambit.TaskID, err error) {
	id, err := spiffeid.FromString(s)
	if err != nil {
		return "", "", fmt.Errorf("cannot read identity %q: %w", clip(s), err)
	}
	seg := strings.Split(id.Path(), "/")
	if id.TrustDomain() != a.domain || len(seg) != 5 || seg[1] != "agent" || seg[3] != "task" {
		return "", "", fmt.Errorf("cannot read identity %q: it is not spiffe://%s/agent/NAME/task/ID", clip(s), a.domain.Name())
	}
	if err := CheckName(seg[2]); err != nil {
		return "", "", err
	}
	task, err = ambit.ParseTaskID(seg[4])
	return seg[2], task, err
}

func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// clipCommand bounds what is kept of a command line; it is for people to see.
func clipCommand(argv []string) []string {
	const most = 4 << 10
	var out []string
	left := most
	for i, s := range argv {
		s = strings.ToValidUTF8(s, "�")
		if len(s) > left || i == 256 {
			rest := 0
			for _, r := range argv[i:] {
				rest += len(r)
			}
			return append(out, fmt.Sprintf("… (%d more bytes)", rest))
		}
		left -= len(s)
		out = append(out, s)
	}
	return out
}
