//go:build amd64 || arm64

package warden

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ambit/sandbox/kernel"
)

// workers answer notices at the same time. The second keeps one slow file
// operation from holding up every process; each further one would make all
// calls slower, because the kernel wakes them in turn and finds them cold.
const workers = 2

// Warden answers the notices of one sandbox. It is made by [New] only.
type Warden struct {
	listener int
	slash    int              // O_PATH of "/"
	proc     int              // O_PATH of "/proc"
	ownFDs   int              // O_PATH of the warden's own "/proc/…/fd"
	trees    map[uint64]*tree // by mount id
	sealed   map[uint64]bool  // mount ids of Rules' Mounts
	fast     bool

	// moves is held for writing while a name moves or gets a second inode
	// name, and for reading while one is made: no directory that a decision
	// was made about is somewhere else when the decision is carried out.
	moves sync.RWMutex

	refused atomic.Uint64
	denied  chan string
	tell    func(string)
}

// tree is a guarded tree on its mount.
type tree struct {
	*guard
	mount uint64
}

// New compiles the rules for a listener, which stays the caller's when there is
// an error. It refuses rules that it cannot keep: no tree, a Root that is no mount point, a Mount that is none or
// that is writable, a name that is no name. It must run in the sandbox's view
// of files and processes.
func New(listener int, r Rules) (*Warden, error) {
	if len(r.Trees) == 0 {
		return nil, errors.New("cannot guard the workspace: the rules name no tree")
	}
	w := &Warden{listener: listener, trees: map[uint64]*tree{}, sealed: map[uint64]bool{},
		denied: make(chan string, 16), tell: r.Denied}
	errs := []error{w.open()}
	for _, t := range r.Trees {
		errs = append(errs, w.take(t))
	}
	if err := errors.Join(errs...); err != nil {
		w.close()
		return nil, err
	}
	for _, t := range w.trees {
		for _, o := range w.trees {
			t.hold(o.root)
		}
	}
	w.fast = syncWake(listener)
	return w, nil
}

// open the places from which everything is reached.
func (w *Warden) open() error {
	w.slash, w.proc, w.ownFDs = -1, -1, -1
	for _, d := range []struct {
		to   *int
		path string
	}{{&w.slash, "/"}, {&w.proc, "/proc"}, {&w.ownFDs, "/proc/self/fd"}} {
		fd, err := syscall.Open(d.path, kernel.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return because("cannot guard the workspace: cannot open "+d.path, err)
		}
		*d.to = fd
	}
	return nil
}

// close gives back what open took.
func (w *Warden) close() {
	for _, fd := range []int{w.slash, w.proc, w.ownFDs} {
		if fd >= 0 {
			_ = syscall.Close(fd)
		}
	}
}

// take in one tree.
func (w *Warden) take(t Tree) error {
	g, err := compile(t)
	if err != nil {
		return err
	}
	id, err := mountPoint(t.Root)
	if err != nil {
		return because("cannot guard "+strconv.Quote(t.Root), err)
	}
	if w.trees[id] != nil {
		return errors.New("cannot guard " + strconv.Quote(t.Root) + ": the rules name it twice")
	}
	for _, m := range t.Mounts {
		rel, _ := g.relative(m)
		at := t.Root + "/" + rel
		mid, err := mountPoint(at)
		if err != nil {
			return because("cannot guard "+strconv.Quote(at), err)
		}
		var fs syscall.Statfs_t
		if err := syscall.Statfs(at, &fs); err != nil || fs.Flags&syscall.MS_RDONLY == 0 {
			return errors.New("cannot guard " + strconv.Quote(at) + ": its mount is not read-only")
		}
		w.sealed[mid] = true
	}
	g.followLinks()
	w.trees[id] = &tree{guard: g, mount: id}
	return nil
}

// mountPoint returns the id of the mount whose root is at path.
func mountPoint(path string) (uint64, error) {
	m, err := kernel.MountOf(kernel.AtFDCWD, path, 0)
	if err != nil {
		return 0, err
	}
	if !m.Top {
		return 0, errors.New("it is not a mount point")
	}
	return m.ID, nil
}

// Serve answers notices until the last process with the filter has ended, and
// then returns nil. After an error nothing is answered any more: the caller
// must end the task, whose processes wait in the kernel.
func (w *Warden) Serve() error {
	done := make(chan error, workers+1)
	stop, told := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(told)
		w.report(stop)
	}()
	defer func() { close(stop); <-told }()
	go func() {
		awaitHangUp(w.listener)
		done <- nil
	}()
	for range workers {
		go func() { done <- (&worker{w: w}).serve() }()
	}
	return <-done
}

// Refused counts the names that were refused.
func (w *Warden) Refused() uint64 { return w.refused.Load() }

// Report says what is enforced, one sentence a line.
func (w *Warden) Report() []string {
	var lines []string
	for _, t := range w.trees {
		lines = append(lines, "protected names in "+strconv.Quote(t.root)+": "+strconv.Itoa(t.names.count)+" at any depth and "+
			strconv.Itoa(len(t.paths.at))+" paths cannot be created (Landlock withholds creation, the warden makes the rest)")
	}
	if !w.fast {
		lines = append(lines, "the warden wakes slowly (the kernel is before 6.6)")
	}
	return lines
}

// refuse counts a refusal and passes it on, unless the last ones still wait.
func (w *Warden) refuse(path string) {
	w.refused.Add(1)
	if w.tell == nil {
		return
	}
	select {
	case w.denied <- path:
	default:
	}
}

// report hands refusals to the callback, at most ten a second, and those that
// still wait when the end comes.
func (w *Warden) report(stop <-chan struct{}) {
	for pause := time.Duration(0); ; pause = 100 * time.Millisecond {
		select {
		case <-stop:
			for len(w.denied) > 0 {
				w.tell(<-w.denied)
			}
			return
		case <-time.After(pause):
		}
		select {
		case <-stop:
			continue
		case path := <-w.denied:
			w.tell(path)
		}
	}
}
