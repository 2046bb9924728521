package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	commandTime = 10 * time.Second
	maxStderr   = 4 << 10 // bytes that are looked at
	shownStderr = 300     // bytes that an error repeats
)

// Command is a credential that a command prints, a password manager say. It
// runs for every lease, without a shell and without input, for ten seconds at
// most, and all that it starts ends with it.
type Command struct {
	Argv []string

	// Dir is where it runs; empty means "/".
	Dir string

	// Env is its environment. Nil takes from the daemon's what password managers
	// need to find their user (HOME, PATH, the session's bus and agents) and no more.
	Env []string

	// Apart names folders that agents can write. Neither the program nor a file
	// among its arguments may lie there: the agent would run code in ring 1.
	Apart []string

	limit time.Duration // of tests; zero means commandTime
}

// Read implements Source.
func (s Command) Read(ctx context.Context) ([]byte, error) {
	path, err := s.program()
	if err != nil {
		return nil, err
	}
	most := commandTime
	if s.limit > 0 {
		most = s.limit
	}
	limit, stop := context.WithTimeout(ctx, most)
	defer stop()
	c := exec.CommandContext(limit, path, s.Argv[1:]...)
	c.Args[0] = s.Argv[0]
	c.Dir, c.Env = s.dir(), s.env()
	out, complaint := &bounded{most: maxSecret + 3}, &bounded{most: maxStderr, drop: true}
	c.Stdout, c.Stderr = out, complaint
	c.WaitDelay = time.Second
	ownGroup(c)
	err = c.Run()
	endGroup(c)
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well, and something that it left running kept its output open
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case limit.Err() != nil:
		err = fmt.Errorf("it took longer than %v: does it wait for somebody to unlock it?", most)
	case out.over:
		err = fmt.Errorf("it printed more than %d bytes", maxSecret)
	case err != nil:
		err = fmt.Errorf("%w%s", err, complaint.shown(out.b))
	}
	defer clear(out.b)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(trimLine(out.b)), nil
}

// program finds the program and sees that nothing that runs is the agent's.
func (s Command) program() (string, error) {
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return "", errors.New("there is no command")
	}
	path, err := exec.LookPath(s.Argv[0])
	if err != nil {
		return "", fmt.Errorf("cannot find the program: %w", err)
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("cannot run %s: write the program's whole path", path)
	}
	if _, err := apart(path, s.Apart); err != nil {
		return "", err
	}
	for _, a := range append([]string{s.dir()}, s.Argv[1:]...) {
		// "--file=x" names a file too.
		_, after, _ := strings.Cut(a, "=")
		for _, name := range []string{a, after} {
			if err := s.notTheirs(name); err != nil {
				return "", err
			}
		}
	}
	return path, nil
}

// notTheirs refuses a name that leads to something below Apart; what is no file
// is no matter.
func (s Command) notTheirs(name string) error {
	if name == "" {
		return nil
	}
	for _, dir := range s.Apart {
		// Also within a longer argument: sh -c "…".
		if strings.Contains(name, filepath.Clean(dir)) {
			return fmt.Errorf("%.200q names %s, which the agent can write: keep what runs elsewhere", name, dir)
		}
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.dir(), name)
	}
	_, err := apart(name, s.Apart)
	if errors.Is(err, os.ErrNotExist) || isPathError(err) {
		// It may be made later: then only where it would lie counts.
		for _, dir := range s.Apart {
			if below(name, dir) {
				return fmt.Errorf("%s lies in %s, which the agent can write: keep it elsewhere", name, dir)
			}
		}
		return nil
	}
	return err
}

func isPathError(err error) bool {
	_, ok := errors.AsType[*os.PathError](err)
	return ok
}

func (s Command) dir() string {
	if s.Dir == "" {
		return "/"
	}
	return s.Dir
}

func (s Command) env() []string {
	if s.Env != nil {
		return s.Env
	}
	var env []string
	for _, name := range []string{"HOME", "PATH", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR",
		"XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME", "GPG_TTY", "SSH_AUTH_SOCK", "PASSWORD_STORE_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// String implements Source. Arguments may be secret and are left out.
func (s Command) String() string {
	if len(s.Argv) == 0 {
		return "command"
	}
	return "command " + s.Argv[0]
}

// GoString keeps arguments and environment out of %#v.
func (s Command) GoString() string { return s.String() }

// Wipe implements Source; a command holds nothing.
func (s Command) Wipe() {}

// bounded takes at most so many bytes, and then fails or drops the rest.
type bounded struct {
	b    []byte
	most int
	drop bool
	over bool
}

// Write implements io.Writer.
func (w *bounded) Write(p []byte) (int, error) {
	n := min(len(p), w.most-len(w.b))
	// Never grown by append: that would leave copies of a secret behind.
	if w.b == nil {
		w.b = make([]byte, 0, w.most)
	}
	w.b = append(w.b, p[:n]...)
	if n == len(p) {
		return n, nil
	}
	w.over = true
	if w.drop {
		return len(p), nil
	}
	return n, errors.New("too much output")
}

// shown is what an error repeats of a command's complaint: nothing that it also
// printed as output, and nothing that a terminal would obey.
func (w *bounded) shown(output []byte) string {
	b := bytes.Clone(w.b)
	for _, line := range bytes.Fields(output) {
		if len(line) >= 4 {
			b = bytes.ReplaceAll(b, line, []byte("[secret]"))
		}
	}
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "?")), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
	if len(s) > shownStderr {
		s = strings.ToValidUTF8(s[:shownStderr], "") + "…"
	}
	if s == "" {
		return ""
	}
	return ": it said: " + s
}
