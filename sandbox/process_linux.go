package sandbox

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// initProcess is the sandbox's init by a descriptor, so that no signal reaches a
// process that came to its number later. Not an os.Process: package os makes a process
// to see whether the kernel can do what the walls need in any case, half a millisecond
// of each start. The zero value is no process.
type initProcess struct {
	pid int

	mu   sync.Mutex
	fd   int // pidfd_open(2)
	gone bool
}

// hold takes the child of this process with that number.
func (p *initProcess) hold(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		p.pid, p.fd = pid, fd
	}
	return err
}

// reap waits for the process's end and takes it off the list of processes.
func (p *initProcess) reap() {
	for {
		err := unix.Waitid(unix.P_PIDFD, p.fd, nil, unix.WEXITED, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	unix.Close(p.fd)
}

// kill ends the process; one that has ended is no error.
func (p *initProcess) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.pid == 0 {
		return nil
	}
	if err := unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
