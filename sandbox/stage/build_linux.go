package stage

import (
	"syscall"
	"unsafe"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
)

// files are the descriptors that go to the gatekeeper, in the order that the
// frame Ready promises, and the agent's end of the terminal.
type files struct {
	list  []int
	slave int // -1 without a terminal
	ipv6  bool
}

func (f *files) add(fd int)  { f.list = append(f.list, fd) }
func (f *files) sent() []int { return f.list }

func (f *files) close() {
	for _, fd := range f.list {
		syscall.Close(fd)
	}
	if f.slave >= 0 {
		syscall.Close(f.slave)
	}
	f.list, f.slave = nil, -1
}

// ground is what every sandbox has, whatever its plan says: it is made while the
// gatekeeper still works on the plan.
type ground struct {
	root *root
	ipv6 bool
	err  error
}

func newGround() (g ground) {
	if g.ipv6, g.err = network(); g.err == nil {
		g.root, g.err = newRoot()
	}
	return g
}

// build makes the root and the listeners on the ground, and enters the root.
func build(p *plan.Plan, g ground) (f *files, err error) {
	if g.err != nil {
		return nil, g.err
	}
	r := g.root
	defer r.close()
	if err := syscall.Sethostname([]byte(p.Hostname)); err != nil {
		return nil, failed("set the host name", err)
	}
	f = &files{slave: -1, ipv6: g.ipv6}
	mask := syscall.Umask(0)
	defer syscall.Umask(mask)
	if err := r.steps(p.Steps); err != nil {
		return nil, err
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	if p.Terminal {
		if err := f.terminal(p.Rows, p.Cols); err != nil {
			return nil, failed("open a terminal", err)
		}
	}
	if err := listeners(p, f.ipv6, f); err != nil {
		return nil, err
	}
	return f, r.tidy()
}

// tidy removes the masks' names and seals the root.
func (r *root) tidy() error {
	if r.noDir >= 0 {
		if err := syscall.Rmdir("/.none"); err != nil {
			return failed("remove a mask's name", err)
		}
	}
	if r.noFile >= 0 {
		if err := syscall.Unlink("/.none-file"); err != nil {
			return failed("remove a mask's name", err)
		}
	}
	return r.seal()
}

const (
	ioctlUnlockPty = 0x40045431 // TIOCSPTLCK
	ioctlPeer      = 0x5441     // TIOCGPTPEER
)

type winsize struct{ rows, cols, x, y uint16 }

// terminal opens a pair in the sandbox's own devpts, so that the agent's
// terminal has a name inside.
func (f *files) terminal(rows, cols uint16) error {
	master, err := syscall.Open("/dev/pts/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f.add(master)
	var unlocked int32
	if err := ioctl(master, ioctlUnlockPty, uintptr(unsafe.Pointer(&unlocked))); err != nil {
		return err
	}
	size := winsize{rows: rows, cols: cols}
	if err := ioctl(master, syscall.TIOCSWINSZ, uintptr(unsafe.Pointer(&size))); err != nil {
		return err
	}
	fd, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(master), ioctlPeer, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC)
	if e != 0 {
		return e
	}
	f.slave = int(fd)
	return nil
}

//go:uintptrescapes
func ioctl(fd int, op, arg uintptr) error {
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), op, arg); e != 0 {
		return e
	}
	return nil
}

// landlock builds the agent's ruleset.
func landlock(p *plan.Plan) (int, error) {
	rs, err := kernel.NewRuleset(p.Handled, 0, p.Scoped)
	if err != nil {
		return -1, failed("make a Landlock ruleset", err)
	}
	for _, r := range p.Rules {
		fd, err := kernel.Open2(kernel.AtFDCWD, r.Path, kernel.OPath, kernel.ResolveNoMagic|kernel.ResolveNoSymlinks)
		if err != nil {
			return -1, failed("open "+r.Path+" for Landlock", err)
		}
		err = allow(rs, fd, r.Rights)
		syscall.Close(fd)
		if err != nil {
			return -1, failed("let the agent use "+r.Path, err)
		}
	}
	for fd, rights := range p.StdRights {
		if rights == 0 {
			continue
		}
		if err := allow(rs, fd, rights); err != nil {
			return -1, failed("let the agent use descriptor "+number(fd), err)
		}
	}
	return rs, nil
}

func allow(ruleset, fd int, rights uint64) error {
	dir, err := kernel.IsDir(fd)
	if err != nil {
		return err
	}
	if !dir {
		rights &= kernel.LLFile
	}
	if rights == 0 {
		return nil
	}
	return kernel.AllowPath(ruleset, fd, rights)
}
