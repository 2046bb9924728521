package e2e

import (
	"testing"

	"ambit/internal/ambittest"
)

// TestUnixSockets lets programs talk over sockets of their own: in the place
// for temporary files, in the workspace and at home, as language servers, test
// runners and agent programs do.
func TestUnixSockets(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, "uses: [python]\n"+head+files)
		h.File(t, "talk.py", `
import os, socket
for p in ["/tmp/t.sock", "w.sock", os.path.expanduser("~/h.sock")]:
    try:
        s = socket.socket(socket.AF_UNIX); s.bind(p); s.listen(1)
        c = socket.socket(socket.AF_UNIX); c.connect(p); c.sendall(b"hello")
        print(os.path.basename(p), s.accept()[0].recv(9).decode(), s.getsockname() == p)
        os.unlink(p)
    except OSError as e:
        print(p, e)
`)
		r := h.Do(t, "run", "--", "python3", "talk.py")
		want(t, r, 0)
		has(t, "the agent's output", r.Stdout, "t.sock hello True", "w.sock hello True", "h.sock hello True")
	})
}
