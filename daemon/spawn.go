package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
)

// connect dials a socket of the live daemon, and starts one when there is
// none.
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
	died, err := spawn(h, log)
	if err != nil {
		return nil, err
	}
	return await(ctx, h, name, died, func() string { return tail(log, from) })
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

// await dials until the daemon answers. One that ends may have lost the race
// against another that is starting: so the wait goes on for a moment.
func await(ctx context.Context, h config.Home, name string, died <-chan error, said func() string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	var grace <-chan time.Time
	for {
		c, err := dial(ctx, h.Run(), name)
		if err == nil {
			return c, nil
		}
		select {
		case <-tick.C:
		case e := <-died:
			died = nil
			wait := 2 * time.Second
			if e != nil && !errors.Is(e, errLostRace(e)) {
				wait = 0
			}
			grace = time.After(wait)
		case <-grace:
			return nil, fmt.Errorf("cannot start the daemon: %s", orElse(said(), err.Error()))
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot start the daemon: it did not answer within %v: %s", startTimeout, orElse(said(), err.Error()))
		}
	}
}

// ExitSecond is the exit status of a daemon that found another one live.
const ExitSecond = 3

// errLostRace returns e itself when it says that another daemon was first.
func errLostRace(e error) error {
	if x, ok := errors.AsType[*exec.ExitError](e); ok && x.ExitCode() == ExitSecond {
		return e
	}
	return nil
}

// tail returns what the daemon wrote since from, its last words first cut.
func tail(f *os.File, from int64) string {
	b := make([]byte, 2048)
	n, _ := f.ReadAt(b, from)
	return string(b[:n])
}

func orElse(s, t string) string {
	if s == "" {
		return t
	}
	return s
}
