package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"ambit/config"
	"ambit/console"
)

// The sockets below AMBIT_HOME/run. Gatekeepers and people never share one.
const (
	gateSocket   = "gate.sock"
	personSocket = "person.sock"
)

// maxSocketPath is what fits into sockaddr_un (unix(7): 108 bytes with the
// closing NUL; 104 on darwin).
const maxSocketPath = 103

// shortPath returns a name of the socket that fits into an address, and what
// to call when it is no longer needed.
func shortPath(dir, name string) (string, func(), error) {
	path := filepath.Join(dir, name)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	// The kernel follows /proc/self/fd to the folder, however long its name.
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	short := fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name)
	if _, err := os.Stat(filepath.Dir(short)); err != nil {
		d.Close()
		return "", nil, fmt.Errorf("the path %s is longer than a socket's name can be (%d bytes); set AMBIT_HOME to a shorter one", path, maxSocketPath)
	}
	return short, func() { d.Close() }, nil
}

// listen opens a socket that only this user can reach. The caller holds the
// lock, so that a file that is there is a dead daemon's.
func listen(dir, name string) (net.Listener, error) {
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot replace the stale socket: %w", err)
	}
	short, done, err := shortPath(dir, name)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	defer done()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("cannot close %s to others: %w", path, err)
	}
	return &ownListener{Listener: ln}, nil
}

// ownListener gives only connections of this user's processes.
type ownListener struct{ net.Listener }

// freeListener gives, of those, only the ones of processes that are not confined:
// of people, and never of a gatekeeper that was taken over.
type freeListener struct {
	net.Listener
	turning chan struct{} // bounds those that are being told why not
}

func newFreeListener(ln net.Listener) freeListener { return freeListener{ln, make(chan struct{}, 8)} }

// Accept implements net.Listener.
func (l freeListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		why := checkFree(peerPID(c))
		if why == nil {
			return c, nil
		}
		select {
		case l.turning <- struct{}{}:
			go func() {
				turnAway(c, why)
				<-l.turning
			}()
		default:
			c.Close()
		}
	}
}

// turnAway tells a peer why it is not served: it may be a person. Nothing of what
// it sends is looked at.
func turnAway(c net.Conn, why error) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	// What came is taken off first: to close before that would break the answer off.
	if n, err := c.Read(make([]byte, 64<<10)); n == 0 || err != nil {
		return
	}
	b, err := json.Marshal(console.Fault{Msg: why.Error()})
	if err == nil {
		fmt.Fprintf(c, "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(b), b)
	}
}

func (l *ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err := checkPeer(c); err == nil {
			return c, nil
		}
		c.Close()
	}
}

// dial connects to a daemon's socket and checks whose it is.
func dial(ctx context.Context, dir, name string) (net.Conn, error) {
	short, done, err := shortPath(dir, name)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// To connect to a Unix socket waits for nobody, unless its queue is full.
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := checkPeer(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// dialer reaches the daemon that is live, for as long as this process is.
func dialer(h config.Home, name string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return dial(ctx, h.Run(), name) }
}

// Live is Gatekeeper for a daemon that is live already.
func Live(ctx context.Context, h config.Home) (net.Conn, error) {
	return dial(ctx, h.Run(), gateSocket)
}

// Gatekeeper connects `ambit run` to the daemon, starting one when none is
// live.
func Gatekeeper(ctx context.Context, h config.Home) (net.Conn, error) {
	return connect(ctx, h, gateSocket)
}
