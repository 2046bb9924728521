package stage

import (
	"sync"
	"syscall"

	"ambit/sandbox/plan"
)

// peer is init's end of the socket pair. Only one goroutine receives.
type peer struct {
	fd      int
	sending sync.Mutex
}

func (p *peer) receive(most int) (plan.Frame, []byte, error) {
	var h [plan.HeaderLen]byte
	if err := p.full(h[:]); err != nil {
		return 0, nil, err
	}
	kind, n := plan.Unhead(h)
	if n < 0 || n > most {
		return 0, nil, fault("cannot read from the gatekeeper: a message is too long")
	}
	b := make([]byte, n)
	return kind, b, p.full(b)
}

func (p *peer) full(b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(p.fd, b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return failed("read from the gatekeeper", err)
		case n == 0:
			return fault("cannot read from the gatekeeper: it is gone")
		default:
			b = b[n:]
		}
	}
	return nil
}

// send writes one frame; the descriptors travel with its first byte.
func (p *peer) send(kind plan.Frame, body []byte, fds []int) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	h := plan.Head(kind, len(body))
	b := append(h[:], body...)
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	for len(b) > 0 {
		n, err := syscall.SendmsgN(p.fd, b, rights, nil, syscall.MSG_NOSIGNAL)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return failed("write to the gatekeeper", err)
		}
		b, rights = b[n:], nil
	}
	return nil
}
