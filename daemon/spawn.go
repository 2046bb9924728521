package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"ambit/config"
)

// keepEnv is what a daemon inherits of the environment of the one who starts
// it. Credentials in that environment stay where they are.
var keepEnv = [...]string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_STATE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"}

const (
	startTimeout = 10 * time.Second
	startPoll    = 2 * time.Millisecond

	// How long another daemon that holds the home has to answer before a start is
	// tried again.
	firstRestart = 50 * time.Millisecond
	lastRestart  = time.Second
)

// connect dials a socket of the live daemon, and starts one when there is
// none. One that is just ending holds the home for a moment longer than it
// listens: then the next is started as soon as it can be.
func connect(ctx context.Context, h config.Home, name string) (net.Conn, error) {
	if c, err := dial(ctx, h.Run(), name); err == nil {
		return c, nil
	}
	if err := h.Make(); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(h.Dir, "daemon.log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot start the daemon: %w", err)
	}
	defer log.Close()
	from, _ := log.Seek(0, 2)
	said := func() string { return tail(log, from) }
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for wait := firstRestart; ; wait = min(2*wait, lastRestart) {
		died, err := spawn(h, log)
		if err != nil {
			return nil, err
		}
		c, err := await(ctx, h, name, died, wait, said)
		if c != nil || err != nil {
			return c, err
		}
	}
}

// spawn starts a daemon in its own session. The channel tells its end.
func spawn(h config.Home, log *os.File) (<-chan error, error) {
	c := exec.Command("/proc/self/exe", "daemon", "run")
	c.Args[0] = "ambit"
	c.Env = []string{"AMBIT_HOME=" + h.Dir}
	for _, k := range keepEnv {
		if v, ok := os.LookupEnv(k); ok {
			c.Env = append(c.Env, k+"="+v)
		}
	}
	c.Dir = "/"
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the daemon: %w", err)
	}
	died := make(chan error, 1)
	go func() { died <- c.Wait() }()
	return died, nil
}

// await dials until the daemon answers. It returns nothing when the one that was
// started has ended for no fault of its own, and none answers within the time given:
// another is starting, or ending.
func await(ctx context.Context, h config.Home, name string, died <-chan error, wait time.Duration, said func() string) (net.Conn, error) {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	var again <-chan time.Time
	for {
		c, err := dial(ctx, h.Run(), name)
		if err == nil {
			return c, nil
		}
		select {
		case <-tick.C:
		case e := <-died:
			if e != nil && !passing(e) {
				return nil, fmt.Errorf("cannot start the daemon: %s", orElse(said(), err.Error()))
			}
			died, again = nil, time.After(wait)
		case <-again:
			return nil, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot start the daemon: none answered within %v: %s", startTimeout, orElse(said(), err.Error()))
		}
	}
}

// ExitSecond is the exit status of a daemon that found another one live.
const ExitSecond = 3

// passing says whether a daemon ended because another one holds the home, or by a
// signal: the next start can be a better one.
func passing(e error) bool {
	x, ok := errors.AsType[*exec.ExitError](e)
	return ok && (x.ExitCode() == ExitSecond || !x.Exited())
}

// tail returns what daemons wrote since from, their last words first cut; of the same
// line again and again, one.
func tail(f *os.File, from int64) string {
	b := make([]byte, 2048)
	n, _ := f.ReadAt(b, from)
	return strings.Join(slices.Compact(strings.Split(strings.TrimSpace(string(b[:n])), "\n")), "\n")
}

func orElse(s, t string) string {
	if s == "" {
		return t
	}
	return s
}
