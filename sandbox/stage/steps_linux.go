package stage

import (
	"syscall"
	"unsafe"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
)

// steps carries out the plan's steps, in order.
func (r *root) steps(steps []plan.Step) error {
	for i := range steps {
		if err := r.step(&steps[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *root) step(s *plan.Step) error {
	switch s.Op {
	case plan.Dir:
		return r.dir(s.Target, uint32(s.Flags))
	case plan.File:
		return r.data(s)
	case plan.Symlink:
		return r.symlink(s.Target, s.Source)
	case plan.Bind:
		return failed("show "+s.Source+" at "+s.Target, r.bind(s))
	case plan.BindSelf:
		return failed("protect "+s.Target, r.bindSelf(s))
	case plan.Mask, plan.MaskMust:
		return failed("hide "+s.Target, r.mask(s))
	}
	fd, err := fresh(s)
	if err != nil {
		return failed("make the file system at "+s.Target, err)
	}
	defer syscall.Close(fd)
	if s.Op == plan.Tmpfs {
		if err := r.mine(fd); err != nil {
			return err
		}
	}
	return failed("mount at "+s.Target, r.attachDir(fd, s.Target, s.Op == plan.Tmpfs))
}

// fresh makes the new file system that a step asks for.
func fresh(s *plan.Step) (int, error) {
	const quiet = kernel.AttrNoSuid | kernel.AttrNoExec
	switch s.Op {
	case plan.Tmpfs:
		return tmpfs(s.Source, s.Flags)
	case plan.Proc:
		return kernel.NewFS("proc", quiet|kernel.AttrNoDev|kernel.AttrReadOnly)
	case plan.Pts:
		return kernel.NewFS("devpts", quiet,
			kernel.Option{Key: "newinstance"}, kernel.Option{Key: "ptmxmode", Value: "0666"}, kernel.Option{Key: "mode", Value: "0620"})
	case plan.Overlay:
		return overlay(s)
	}
	return -1, fault("unknown step")
}

// source opens a step's source, at which the gatekeeper looked before: it must be
// the same file still, reached without a symbolic link. Somebody may have swapped
// it since.
func source(s *plan.Step) (fd int, dir bool, err error) {
	fd, err = kernel.Open2(kernel.AtFDCWD, s.Source, kernel.OPath, kernel.ResolveNoSymlinks|kernel.ResolveNoMagic)
	if err != nil {
		return -1, false, err
	}
	var st syscall.Stat_t
	if err = syscall.Fstat(fd, &st); err == nil && (st.Ino != s.Ino || uint64(st.Dev) != s.Dev) {
		err = fault("it was replaced while the sandbox started; start again")
	}
	if err != nil {
		syscall.Close(fd)
		return -1, false, err
	}
	return fd, st.Mode&syscall.S_IFMT == syscall.S_IFDIR, nil
}

func (r *root) bind(s *plan.Step) error {
	tree, dir, err := cloned(s)
	if err != nil {
		return err
	}
	defer syscall.Close(tree)
	if err := kernel.SetTree(tree, s.Flags, true); err != nil {
		return err
	}
	if dir {
		return r.attachDir(tree, s.Target, false)
	}
	return r.attachFile(tree, s.Target)
}

// cloned copies the mount of a step's source. The system's own files, which only
// the host's root can swap, are taken by their path.
func cloned(s *plan.Step) (tree int, dir bool, err error) {
	if s.Ino == 0 {
		tree, err = kernel.CloneTree(kernel.AtFDCWD, s.Source)
		return tree, s.Data == plan.Directory, err
	}
	src, dir, err := source(s)
	if err != nil {
		return -1, false, err
	}
	defer syscall.Close(src)
	tree, err = kernel.CloneTree(src, "")
	return tree, dir, err
}

// attachDir puts a mount on a directory, which it makes when there is none. On a
// mount that was not made here no names are made afterwards.
func (r *root) attachDir(fd int, target string, own bool) error {
	if err := r.dir(target, 0o755); err != nil {
		return err
	}
	if !r.made[target] {
		return r.attach(fd, target)
	}
	if !own {
		delete(r.made, target)
	}
	return kernel.AttachAt(fd, r.fd, below(target))
}

func (r *root) attachFile(fd int, target string) error {
	if r.made[parent(target)] {
		err := syscall.Mknodat(r.fd, below(target), syscall.S_IFREG|0o444, 0)
		if err == nil {
			return kernel.AttachAt(fd, r.fd, below(target))
		}
		if err != syscall.EEXIST {
			return err
		}
	}
	err := r.attach(fd, target)
	if err != syscall.ENOENT {
		return err
	}
	if err := r.file(target, "", 0o444); err != nil {
		return err
	}
	return r.attach(fd, target)
}

func (r *root) attach(fd int, target string) error {
	at, err := r.open(target, kernel.OPath)
	if err != nil {
		return err
	}
	defer syscall.Close(at)
	return kernel.Attach(fd, at)
}

// data makes a small file. Where the host's files show one already, it covers
// that with its own.
func (r *root) data(s *plan.Step) error {
	if s.Source != "" {
		text, err := r.small(s.Source)
		if err != nil {
			return failed("copy "+s.Source, err)
		}
		s.Data = text
	}
	if r.made[parent(s.Target)] {
		if err := r.file(s.Target, s.Data, uint32(s.Flags)); err == nil {
			return nil
		}
	}
	at, err := r.open(s.Target, kernel.OPath)
	if err == syscall.ENOENT {
		return r.file(s.Target, s.Data, uint32(s.Flags))
	}
	if err != nil {
		return failed("make "+s.Target, err)
	}
	defer syscall.Close(at)
	const name = "/.data"
	if err := r.file(name, s.Data, uint32(s.Flags)); err != nil {
		return err
	}
	tree, err := kernel.CloneTree(r.fd, name[1:])
	if err != nil {
		return failed("make "+s.Target, err)
	}
	defer syscall.Close(tree)
	if err := kernel.SetTree(tree, kernel.AttrReadOnly|kernel.AttrNoSuid|kernel.AttrNoDev|kernel.AttrNoExec, false); err != nil {
		return failed("make "+s.Target, err)
	}
	// The name goes last: what has no name any more cannot be attached.
	if err := kernel.Attach(tree, at); err != nil {
		return failed("make "+s.Target, err)
	}
	return failed("make "+s.Target, syscall.Unlinkat(r.fd, name[1:]))
}

// small reads a small file of the host. What it returns is good until the next one.
func (r *root) small(path string) (string, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	if r.text == nil {
		r.text = make([]byte, plan.MaxCopied+1)
	}
	for n := 0; n < len(r.text); {
		m, err := syscall.Read(fd, r.text[n:])
		if err != nil {
			return "", err
		}
		if m == 0 {
			return unsafe.String(&r.text[0], n), nil
		}
		n += m
	}
	return "", fault("it has grown to more than is copied")
}

// bindSelf puts what is at the target on itself, with stricter attributes.
func (r *root) bindSelf(s *plan.Step) error {
	at, err := r.open(s.Target, kernel.OPath)
	if err != nil {
		return err
	}
	defer syscall.Close(at)
	tree, err := kernel.CloneTree(at, "")
	if err != nil {
		return err
	}
	defer syscall.Close(tree)
	if err := kernel.SetTree(tree, s.Flags, true); err != nil {
		return err
	}
	return kernel.Attach(tree, at)
}

// mask covers the target with something that nobody may read.
func (r *root) mask(s *plan.Step) error {
	at, err := r.open(s.Target, kernel.OPath)
	if err == syscall.ENOENT && s.Op == plan.Mask {
		return nil
	}
	if err != nil {
		return err
	}
	defer syscall.Close(at)
	dir, err := kernel.IsDir(at)
	if err != nil {
		return err
	}
	none, err := r.none(dir)
	if err != nil {
		return err
	}
	tree, err := kernel.CloneTree(none, "")
	if err != nil {
		return err
	}
	defer syscall.Close(tree)
	if err := kernel.SetTree(tree, kernel.AttrReadOnly|kernel.AttrNoSuid|kernel.AttrNoDev|kernel.AttrNoExec, false); err != nil {
		return err
	}
	return kernel.Attach(tree, at)
}

// none returns a file or a directory of mode 0 that has no name any more.
func (r *root) none(dir bool) (int, error) {
	const name = ".none"
	if dir {
		if r.noDir >= 0 {
			return r.noDir, nil
		}
		if err := syscall.Mkdirat(r.fd, name, 0); err != nil {
			return -1, err
		}
		fd, err := r.open("/"+name, kernel.OPath)
		r.noDir = fd
		return fd, err
	}
	if r.noFile >= 0 {
		return r.noFile, nil
	}
	if err := r.file("/"+name+"-file", "", 0); err != nil {
		return -1, err
	}
	fd, err := r.open("/"+name+"-file", kernel.OPath)
	r.noFile = fd
	return fd, err
}

// overlay makes a copy-on-write view of the source. The layers are named by
// descriptor, so that nothing in their paths can be misread or swapped.
func overlay(s *plan.Step) (int, error) {
	lower, _, err := source(s)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(lower)
	up, work := cut(s.Data, 0)
	upper, err := kernel.Open2(kernel.AtFDCWD, up, kernel.OPath, kernel.ResolveNoSymlinks)
	if err != nil {
		return -1, failed("open "+up, err)
	}
	defer syscall.Close(upper)
	works, err := kernel.Open2(kernel.AtFDCWD, work, kernel.OPath, kernel.ResolveNoSymlinks)
	if err != nil {
		return -1, failed("open "+work, err)
	}
	defer syscall.Close(works)
	return kernel.NewFS("overlay", s.Flags,
		kernel.Option{Key: "lowerdir", Value: fdPath(lower)},
		kernel.Option{Key: "upperdir", Value: fdPath(upper)},
		kernel.Option{Key: "workdir", Value: fdPath(works)},
		kernel.Option{Key: "userxattr"})
}

func fdPath(fd int) string { return "/proc/self/fd/" + number(fd) }

func number(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return number(n/10) + string(rune('0'+n%10))
}
