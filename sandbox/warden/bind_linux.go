//go:build amd64 || arm64

package warden

import (
	"slices"
	"syscall"

	"ambit/sandbox/kernel"
)

// bind makes the file of a Unix socket. Other sockets, and names that are not
// files, are the kernel's.
func (c *call) bind(sock int32, addr, size uint64) answer {
	text, ok := c.socketPath(addr, size)
	if !ok {
		return pass()
	}
	base := c.w.slash
	if text[0] != '/' {
		if base, ok = c.base(kernel.AtFDCWD); !ok {
			return pass()
		}
	}
	p, ok := c.lookup(base, text, false)
	if !ok || p.tail != "" || !c.readStatus() {
		return pass()
	}
	own, ok := c.socket(sock)
	if !ok {
		return pass()
	}
	c.w.moves.Lock()
	defer c.w.moves.Unlock()
	if a, ok := c.mayMake(p, thing{inert: true}); !ok {
		return a
	}
	return c.bindAt(own, p, base, text)
}

// socketPath reads a sockaddr_un (unix(7)) that names a file.
func (c *call) socketPath(addr, size uint64) (string, bool) {
	const most = 110 // sizeof(struct sockaddr_un)
	if size := int32(size); size <= 2 || size > most {
		return "", false
	}
	b := c.readMemory(addr, c.buf[:int32(size)])
	if len(b) <= 2 || b[0] != syscall.AF_UNIX || b[1] != 0 || b[2] == 0 {
		return "", false
	}
	path := b[2:]
	if end := slices.Index(path, 0); end >= 0 {
		path = path[:end]
	}
	return string(path), true
}

// socket takes a copy of the caller's descriptor.
func (c *call) socket(fd int32) (int, bool) {
	pidfd, ok := c.keep(kernel.PidfdOpen(c.tgid))
	if !ok {
		return -1, false
	}
	return c.keep(kernel.PidfdGetfd(pidfd, int(fd)))
}

// bindAt binds the socket. Its name stays as the caller wrote it where no link
// leads there, so that getsockname(2) gives it back; else it is the last name,
// which cannot lead anywhere but into the directory that was decided about.
func (c *call) bindAt(sock int, p place, base int, text string) answer {
	at, ok1 := c.pathOf(p.dir)
	from, ok2 := c.pathOf(base)
	if from == "/" {
		from = ""
	}
	if text[0] != '/' {
		from += "/"
	}
	dir := base
	if !ok1 || !ok2 || from+text != at+"/"+p.name {
		dir, text = p.dir, p.name
	}
	if err := syscall.Fchdir(dir); err != nil {
		return result(err)
	}
	err := kernel.BindPath(sock, text)
	if e := syscall.Fchdir(c.w.slash); err == nil && e != nil {
		err = e
	}
	return result(err)
}
