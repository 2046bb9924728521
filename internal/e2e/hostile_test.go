package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestHostileProgram runs a program that tries the ways out, and looks at the
// world afterwards.
func TestHostileProgram(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		outside := ambittest.NewOutside(t)
		secret := ambittest.NewCanary("agent socket")
		abstract := "ambit-test-" + secret.Value
		l, err := net.Listen("unix", "\x00"+abstract)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		reached := make(chan struct{}, 100)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
				reached <- struct{}{}
			}
		}()
		src, err := os.ReadFile("testdata/hostile.py")
		if err != nil {
			t.Fatal(err)
		}
		h.Grants(t, "uses: [python]\n"+head+files)
		h.File(t, "hostile.py", string(src))
		if err := os.Symlink(h.User, filepath.Join(h.Workspace, "home-link")); err != nil {
			t.Fatal(err)
		}
		pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
		if err != nil {
			t.Fatal(err)
		}
		c := h.Ambit("run", "--", "python3", "hostile.py", h.User, abstract, outside.Addrs[0])
		c.Env = append(c.Env, "SSH_AUTH_SOCK=@"+abstract)
		r := ambittest.Finish(t, c)
		want(t, r, 0)
		has(t, "the program's output", r.Stdout, "end\n")
		for l := range strings.Lines(r.Stdout) {
			if strings.Contains(l, " GOT ") {
				t.Errorf("got through: %s", l)
			}
		}
		lacks(t, "the program's output", []byte(r.Stdout+r.Stderr), h.Secrets()...)
		if len(reached) > 0 {
			t.Error("a socket of the host was reached")
		}
		if got := outside.Hits(); len(got) != 0 {
			t.Errorf("a byte came outside: %v", got)
		}
		if now, _ := os.ReadFile("/proc/sys/kernel/core_pattern"); string(now) != string(pattern) {
			t.Errorf("the core pattern is %q, was %q", now, pattern)
			os.WriteFile("/proc/sys/kernel/core_pattern", pattern, 0o644)
		}
		for _, p := range []string{filepath.Join(h.User, "owned"), "/etc/owned", "/usr/bin/owned", "/tmp/owned"} {
			if _, err := os.Lstat(p); err == nil {
				t.Errorf("%s was made", p)
				os.Remove(p)
			}
		}
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h)
	})
}
