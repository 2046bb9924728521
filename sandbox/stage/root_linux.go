package stage

import (
	"syscall"
	"unsafe"

	"ambit/sandbox/kernel"
)

// stand is where the new root stands until it becomes the root: on top of the
// old one. A process whose root is the old one does not see what lies on it, so
// that the host's files keep their paths until then.
const stand = "/"

const rootOptions = "mode=0755,size=64m,nr_inodes=16384"

// root is the new root under construction.
type root struct {
	fd     int // its top
	noFile int // a file and a directory that nobody may read, for masks; -1 until needed
	noDir  int
	made   map[string]bool // directories made here, on file systems made here: no link can be among their parents
	own    map[uint64]bool // device numbers of file systems made here; names are made on no other
	text   []byte          // of the last small file of the host; nil until needed
}

func newRoot() (*root, error) {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return nil, failed("cut the mounts' ties to the host", err)
	}
	top, err := tmpfs(rootOptions, kernel.AttrNoSuid|kernel.AttrNoDev)
	if err != nil {
		return nil, failed("make the new root", err)
	}
	at, err := syscall.Open(stand, kernel.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, failed("open "+stand, err)
	}
	defer syscall.Close(at)
	if err := kernel.Attach(top, at); err != nil {
		return nil, failed("attach the new root", err)
	}
	r := &root{fd: top, noFile: -1, noDir: -1, made: map[string]bool{"/": true}, own: map[uint64]bool{}}
	return r, r.mine(top)
}

// tmpfs makes a detached tmpfs; opts is "key=value,…".
func tmpfs(opts string, attrs uint64) (int, error) {
	var list []kernel.Option
	for opts != "" {
		var o string
		o, opts = cut(opts, ',')
		k, v := cut(o, '=')
		list = append(list, kernel.Option{Key: k, Value: v})
	}
	return kernel.NewFS("tmpfs", attrs, list...)
}

func cut(s string, sep byte) (before, after string) {
	for i := 0; i < len(s); i++ {
		if s[i] == sep {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "/"
}

// below turns an absolute path into one relative to the root's descriptor.
func below(path string) string {
	if path == "/" {
		return "."
	}
	return path[1:]
}

// open opens a place in the new root without following any symbolic link: a
// link there may have been put by an earlier task.
func (r *root) open(path string, flags uint64) (int, error) {
	return kernel.Open2(r.fd, below(path), flags, kernel.ResolveInRoot|kernel.ResolveNoSymlinks|kernel.ResolveNoMagic)
}

// dir makes a directory and its parents; what exists is left as it is.
func (r *root) dir(path string, mode uint32) error {
	if r.made[path] {
		return nil
	}
	up := parent(path)
	if r.made[up] {
		err := syscall.Mkdirat(r.fd, below(path), mode)
		if err == nil {
			r.made[path] = true
		}
		if err != syscall.EEXIST {
			return failed("make "+path, err)
		}
	}
	if fd, err := r.open(path, kernel.OPath|syscall.O_DIRECTORY); err == nil {
		return syscall.Close(fd)
	} else if err != syscall.ENOENT {
		return failed("make "+path, err)
	}
	if err := r.dir(up, 0o755); err != nil {
		return err
	}
	return failed("make "+path, r.below(up, path, func(at int, name string) error { return syscall.Mkdirat(at, name, mode) }))
}

// below calls do with path's directory and last name. It refuses to make names
// on a mount that shows the host's files: nothing is left behind there.
func (r *root) below(dir, path string, do func(at int, name string) error) error {
	if r.made[dir] {
		return do(r.fd, below(path))
	}
	at, err := r.open(dir, kernel.OPath|syscall.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer syscall.Close(at)
	var st syscall.Stat_t
	if err := syscall.Fstat(at, &st); err != nil {
		return err
	}
	if !r.own[uint64(st.Dev)] {
		return fault("it does not exist in what is shown at " + dir + "; grant a path that exists")
	}
	name := path[len(dir):]
	if name[0] == '/' {
		name = name[1:]
	}
	return do(at, name)
}

// mine marks a file system as made here.
func (r *root) mine(fd int) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return failed("look at a new file system", err)
	}
	r.own[uint64(st.Dev)] = true
	return nil
}

// file makes a file with data in the new root.
func (r *root) file(path, data string, mode uint32) error {
	up := parent(path)
	if err := r.dir(up, 0o755); err != nil {
		return err
	}
	return failed("make "+path, r.below(up, path, func(at int, name string) error {
		fd, err := syscall.Openat(at, name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, mode)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		for b := unsafe.Slice(unsafe.StringData(data), len(data)); len(b) > 0; {
			n, err := syscall.Write(fd, b)
			if err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	}))
}

func (r *root) symlink(path, to string) error {
	up := parent(path)
	if err := r.dir(up, 0o755); err != nil {
		return err
	}
	return failed("make "+path, r.below(up, path, func(at int, name string) error { return kernel.Symlink(to, at, name) }))
}

// enter makes the new root the root and lets go of the old one.
func (r *root) enter() error {
	old, err := syscall.Open("/", kernel.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return failed("open the host's root", err)
	}
	defer syscall.Close(old)
	if err := syscall.Fchdir(r.fd); err != nil {
		return failed("enter the new root", err)
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return failed("make the new root the root", err)
	}
	if err := syscall.Fchdir(old); err != nil {
		return failed("return to the host's root", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return failed("let go of the host's root", err)
	}
	return failed("enter the new root", syscall.Chdir("/"))
}

// seal makes the root's own tmpfs read-only.
func (r *root) seal() error {
	return failed("seal the root", kernel.SetTree(r.fd, kernel.AttrReadOnly, false))
}

func (r *root) close() {
	for _, fd := range []int{r.fd, r.noFile, r.noDir} {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
}
