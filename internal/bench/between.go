package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// copier starts a proxy that only copies bytes, in the kernel where it can (splice(2)),
// and returns its port.
func (b *bench) copier(to int) (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	b.stop = append(b.stop, func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go copyBoth(c, to)
		}
	}()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func copyBoth(c net.Conn, to int) {
	defer c.Close()
	u, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(to))
	if err != nil {
		return
	}
	go func() {
		defer u.Close()
		_, _ = io.Copy(u, c)
	}()
	_, _ = io.Copy(c, u)
}

const bouncerConfig = `[databases]
bank = host=127.0.0.1 port=%d dbname=bank user=postgres password=bench-secret
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = 50
`

// bouncer starts pgbouncer, which is not run as root, and returns its port.
func (b *bench) bouncer(to int) (int, error) {
	name, err := exec.LookPath("pgbouncer")
	if err != nil {
		return 0, errors.New("it is not installed")
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	file := b.path("bouncer.ini")
	if err := os.WriteFile(file, fmt.Appendf(nil, bouncerConfig, to, port), 0o644); err != nil {
		return 0, err
	}
	c := exec.Command(name, file)
	c.Dir, c.SysProcAttr = "/", unprivileged()
	return port, b.background(c, port)
}

// unprivileged is who runs PostgreSQL's programs, which root may not: the user that the
// Debian package makes. Nil is the caller.
func unprivileged() *syscall.SysProcAttr {
	u, err := user.Lookup("postgres")
	if os.Getuid() != 0 || err != nil {
		return nil
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
