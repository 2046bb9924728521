package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
)

const (
	maxPorts = 200 // descriptors that fit into one message, with some to spare
	minABI   = 2   // Landlock's, since it can forbid moving files between directories

	quiet = kernel.AttrNoSuid | kernel.AttrNoDev

	rightsRead  = kernel.LLReadFile | kernel.LLReadDir | kernel.LLExecute
	rightsMake  = kernel.LLMakeDir | kernel.LLMakeReg | kernel.LLMakeSock | kernel.LLMakeFifo | kernel.LLMakeSym | kernel.LLRefer
	rightsWrite = rightsRead | rightsMake | kernel.LLWriteFile | kernel.LLTruncate | kernel.LLRemoveDir | kernel.LLRemoveFile
	rightsDev   = kernel.LLReadFile | kernel.LLReadDir | kernel.LLWriteFile | kernel.LLTruncate | kernel.LLIoctlDev
)

// builder turns a Spec into a plan.
type builder struct {
	spec   *Spec
	plan   plan.Plan
	report Report
	abi    int
	bound  []string        // targets that show host directories
	copied map[string]bool // small files of the host's /etc
	grants []grant
}

// grant is a File whose path has been resolved and looked at.
type grant struct {
	File
	host string // canonical
	at   string
	dir  bool
	st   unix.Stat_t
}

func newBuilder(s *Spec) (*builder, error) {
	if len(s.Argv) == 0 || s.Argv[0] == "" {
		return nil, errors.New("cannot start the sandbox: no command is given")
	}
	if len(s.TCPPorts) > maxPorts {
		return nil, fmt.Errorf("cannot start the sandbox: %d ports are granted, at most %d", len(s.TCPPorts), maxPorts)
	}
	if err := noNUL(slices.Concat(s.Argv, s.Env, []string{s.Dir, s.Hostname})); err != nil {
		return nil, err
	}
	abi := kernel.LandlockABI()
	if abi < minABI {
		return nil, fmt.Errorf("cannot start the sandbox: the kernel's Landlock has version %d, and %d is needed; use Linux 5.19 or later with landlock among its security modules (ambit doctor)", abi, minABI)
	}
	b := &builder{spec: s, abi: abi, copied: map[string]bool{}, report: Report{System: system()}}
	b.plan = plan.Plan{
		Hostname: s.Hostname, Argv: s.Argv, Env: s.Env, Dir: s.Dir,
		Handled: kernel.LandlockHandled(abi), Resolver: true, Socket: s.Socket, Terminal: s.Terminal,
	}
	if b.plan.Hostname == "" {
		b.plan.Hostname = "ambit"
	}
	if b.plan.Dir == "" {
		b.plan.Dir = b.home()
	}
	if abi >= 6 {
		b.plan.Scoped = kernel.LLScopeAbstract | kernel.LLScopeSignal
	}
	return b, nil
}

func noNUL(texts []string) error {
	for _, text := range texts {
		if strings.ContainsRune(text, 0) {
			return errors.New("cannot start the sandbox: an argument or variable holds a NUL byte")
		}
	}
	return nil
}

func (b *builder) home() string {
	if b.spec.HomeAt != "" {
		return b.spec.HomeAt
	}
	return DefaultHome
}

func (b *builder) step(s plan.Step) { b.plan.Steps = append(b.plan.Steps, s) }

func (b *builder) rule(path string, rights uint64) {
	b.plan.Rules = append(b.plan.Rules, plan.Rule{Path: path, Rights: rights & b.plan.Handled})
}

// build works out every step. It reads the host's files and changes only Scratch.
func (b *builder) build() error {
	if err := b.resolve(); err != nil {
		return err
	}
	if err := b.separate(); err != nil {
		return err
	}
	for _, p := range b.spec.TCPPorts {
		if p == 0 {
			return errors.New("cannot listen on port 0: a granted port is missing its number")
		}
		if p != resolverPort && !slices.Contains(b.plan.Ports, p) {
			b.plan.Ports = append(b.plan.Ports, p)
		}
	}
	b.rule("/", kernel.LLReadDir)
	b.systemTree()
	b.devices()
	b.processes()
	b.temporary()
	if err := b.homeTree(); err != nil {
		return err
	}
	if err := b.data(); err != nil {
		return err
	}
	if err := b.self(); err != nil {
		return err
	}
	if err := b.granted(); err != nil {
		return err
	}
	b.guardAbove()
	return nil
}

const resolverPort = 53

// resolve finds the file behind each granted path.
func (b *builder) resolve() error {
	for _, f := range b.spec.Files {
		g, err := look(f)
		if err != nil {
			return err
		}
		b.grants = append(b.grants, g)
	}
	// What lies above is mounted first; of one place, what hides comes last.
	slices.SortStableFunc(b.grants, func(x, y grant) int {
		if (x.Access == Hidden) != (y.Access == Hidden) {
			if x.Access == Hidden {
				return 1
			}
			return -1
		}
		return strings.Compare(x.at+"/", y.at+"/")
	})
	return nil
}

func look(f File) (grant, error) {
	g := grant{File: f, at: f.At}
	if g.at == "" {
		g.at = f.Path
	}
	if f.Access == 0 || f.Access > Hidden {
		return g, fmt.Errorf("cannot grant %s: it says neither reading, writing, copy-on-write nor hiding", f.Path)
	}
	for _, p := range []string{f.Path, g.at} {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p || strings.ContainsRune(p, 0) {
			return g, fmt.Errorf("cannot grant %q: it is not a clean absolute path", p)
		}
	}
	if g.at == "/" || f.Path == "/" {
		return g, errors.New("cannot grant the whole root directory: name the directories that the agent needs")
	}
	var err error
	if g.host, err = filepath.EvalSymlinks(f.Path); err != nil {
		if errors.Is(err, os.ErrNotExist) && f.Access == Hidden {
			g.host = f.Path
			return g, nil
		}
		return g, fmt.Errorf("cannot grant %s: %w; create it, or take it out of the grants", f.Path, reason(err))
	}
	if err := unix.Stat(g.host, &g.st); err != nil {
		return g, fmt.Errorf("cannot grant %s: %w", f.Path, err)
	}
	g.dir = g.st.Mode&unix.S_IFMT == unix.S_IFDIR
	if m := g.st.Mode & unix.S_IFMT; m != unix.S_IFDIR && m != unix.S_IFREG {
		return g, fmt.Errorf("cannot grant %s: it is neither a directory nor a regular file, and a socket or device would lead out of the sandbox", f.Path)
	}
	return g, nil
}

// reason takes the path out of an error that already stands in a sentence with it.
func reason(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// separate refuses a Scratch that the agent could change: the upper layers of
// its overlays and the walls' own notes lie there.
func (b *builder) separate() error {
	s, err := filepath.EvalSymlinks(b.spec.Scratch)
	if err != nil || !filepath.IsAbs(s) {
		return fmt.Errorf("cannot use the scratch directory %q: it must be an existing directory", b.spec.Scratch)
	}
	b.spec.Scratch = s
	for _, g := range b.grants {
		if g.Access != Hidden && (inside(s, g.host) || inside(g.host, s)) {
			return fmt.Errorf("cannot grant %s: the task's scratch directory %s and a granted path must not contain each other", g.Path, s)
		}
	}
	return nil
}

// inside says whether path is dir or below it.
func inside(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// homeTree gives the agent its own home directory.
func (b *builder) homeTree() error {
	host := b.spec.Home
	if host == "" {
		host = filepath.Join(b.spec.Scratch, "home")
		if err := os.Mkdir(host, 0o700); err != nil {
			return fmt.Errorf("cannot make the agent's home: %w", err)
		}
	}
	g, err := look(File{Path: host, At: b.home(), Access: Writable})
	if err != nil {
		return err
	}
	if !g.dir {
		return fmt.Errorf("cannot use %s as the agent's home: it is not a directory", host)
	}
	b.mount(&g, quiet)
	b.rule(g.at, rightsWrite)
	return b.places(&g)
}

// places makes the places for what is granted below the agent's home: it is the
// agent's own, so that nothing of the person's is littered. A link that an earlier
// task left there is not followed out of it.
func (b *builder) places(home *grant) error {
	root, err := os.OpenRoot(home.host)
	if err != nil {
		return fmt.Errorf("cannot open the agent's home: %w", err)
	}
	defer root.Close()
	for i := range b.grants {
		g := &b.grants[i]
		if g.Access == Hidden || g.at == home.at || !inside(g.at, home.at) {
			continue
		}
		rel := g.at[len(home.at)+1:]
		if _, err := root.Lstat(rel); err == nil {
			continue
		}
		dir := rel
		if !g.dir {
			dir = filepath.Dir(rel)
		}
		err := root.MkdirAll(dir, 0o755)
		if err == nil && !g.dir {
			err = root.WriteFile(rel, nil, 0o644)
		}
		if err != nil {
			return fmt.Errorf("cannot make a place for %s in the agent's home: %w", g.Path, err)
		}
	}
	return nil
}

func (b *builder) mount(g *grant, flags uint64) {
	b.step(plan.Step{Op: plan.Bind, Source: g.host, Target: g.at, Flags: flags, Dev: uint64(g.st.Dev), Ino: g.st.Ino})
	b.bound = append(b.bound, g.at)
}

// granted mounts the Spec's files, with what protects them.
func (b *builder) granted() error {
	for i := range b.grants {
		g := &b.grants[i]
		switch g.Access {
		case ReadOnly:
			b.mount(g, quiet|kernel.AttrReadOnly)
			b.rule(g.at, rightsRead)
			if err := b.hideSockets(g); err != nil {
				return err
			}
		case Writable:
			b.mount(g, quiet)
			if err := b.writable(g); err != nil {
				return err
			}
		case CopyOnWrite:
			if err := b.overlay(g, i); err != nil {
				return err
			}
			b.rule(g.at, rightsWrite)
			if err := b.hideSockets(g); err != nil {
				return err
			}
		case Hidden:
			b.hide(g)
		}
	}
	return nil
}

// hide masks every place at which the hidden file is visible.
func (b *builder) hide(g *grant) {
	b.step(plan.Step{Op: plan.Mask, Target: g.at})
	for i := range b.grants {
		o := &b.grants[i]
		if o.Access == Hidden || !inside(g.host, o.host) {
			continue
		}
		if at := o.at + g.host[len(o.host):]; at != g.at {
			b.step(plan.Step{Op: plan.Mask, Target: at})
		}
	}
}

// overlay shows a directory whose changes are thrown away with Scratch.
func (b *builder) overlay(g *grant, n int) error {
	if !g.dir {
		return fmt.Errorf("cannot grant %s copy-on-write: it is not a directory", g.Path)
	}
	base := filepath.Join(b.spec.Scratch, fmt.Sprintf("layer%d", n))
	upper, work := filepath.Join(base, "upper"), filepath.Join(base, "work")
	for _, d := range []string{base, upper, work} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return fmt.Errorf("cannot make the copy-on-write layer for %s: %w", g.Path, err)
		}
	}
	if err := os.Chmod(upper, os.FileMode(g.st.Mode&0o777)|0o700); err != nil {
		return fmt.Errorf("cannot make the copy-on-write layer for %s: %w", g.Path, err)
	}
	b.step(plan.Step{Op: plan.Overlay, Source: g.host, Target: g.at, Data: upper + "\x00" + work, Flags: quiet,
		Dev: uint64(g.st.Dev), Ino: g.st.Ino})
	b.bound = append(b.bound, g.at)
	return nil
}
