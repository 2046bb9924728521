package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ambit/internal/ambittest"
)

// desk is a person's terminal: a shell in tmux, which draws what programs
// write, as a terminal does.
type desk struct {
	h      *ambittest.Home
	socket string
	env    []string
}

// newDesk opens a shell with a screen of 40 lines and 120 columns.
func newDesk(t *testing.T, h *ambittest.Home, env ...string) *desk {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed: run ./check setup")
	}
	d := &desk{h: h, socket: filepath.Join(h.User, "desk"), env: env}
	t.Cleanup(func() { d.command("kill-server").Run() })
	d.tmux(t, "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "env", "PS1=at-the-shell> ", "ENV=", "sh")
	d.shows(t, "at-the-shell>")
	return d
}

func (d *desk) command(args ...string) *exec.Cmd {
	c := d.h.Command("tmux", append([]string{"-S", d.socket}, args...)...)
	c.Env = append(withAgents(c, d.env...), "TERM=xterm-256color", "SHELL=/bin/sh")
	return c
}

func (d *desk) tmux(t *testing.T, args ...string) string {
	t.Helper()
	b, err := d.command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %q: %v\n%s", args, err, b)
	}
	return string(b)
}

// keys presses keys, by tmux's names for them.
func (d *desk) keys(t *testing.T, keys ...string) {
	t.Helper()
	d.tmux(t, append([]string{"send-keys"}, keys...)...)
}

// types types a text and Enter.
func (d *desk) types(t *testing.T, text string) {
	t.Helper()
	d.tmux(t, "send-keys", "-l", text)
	d.keys(t, "Enter")
}

func (d *desk) screen(t *testing.T) string { t.Helper(); return d.tmux(t, "capture-pane", "-p") }

// until waits until the screen is as wanted.
func (d *desk) until(t *testing.T, what string, ok func(screen string) bool) string {
	t.Helper()
	var s string
	if !ambittest.Eventually(20*time.Second, func() bool { s = d.screen(t); return ok(s) }) {
		t.Fatalf("the screen does not show %s:\n%s", what, s)
	}
	return s
}

// shows waits for texts on the screen.
func (d *desk) shows(t *testing.T, texts ...string) string {
	t.Helper()
	return d.until(t, fmt.Sprintf("%q", texts), func(s string) bool {
		for _, x := range texts {
			if !strings.Contains(s, x) {
				return false
			}
		}
		return true
	})
}

func TestExplore(t *testing.T) {
	h := ambittest.NewHome(t, ambittest.Ordinary)
	s := &session{h: h, key: ambittest.NewCanary("k"), docs: ambittest.NewDocs(t, ambittest.NewCA(t), "docs.example.org")}
	which := os.Getenv("WHICH")
	d := newDesk(t, h, "ANTHROPIC_API_KEY="+s.key.Value, "OPENAI_API_KEY="+s.key.Value)
	if which == "claude" {
		s.model = ambittest.NewAnthropic(t, ambittest.NewCA(t), nil, "api.anthropic.com")
	} else {
		s.model = ambittest.NewOpenAI(t, ambittest.NewCA(t), nil, "api.openai.com")
	}
	s.grants(t, which)
	if which == "claude" {
		c := h.Ambit("run", "--", "sh", "-c", `echo '{"hasCompletedOnboarding": true}' >~/.claude.json`)
		c.Env = append(c.Env, "ANTHROPIC_API_KEY="+s.key.Value)
		want(t, ambittest.Finish(t, c), 0)
	}
	d.types(t, os.Getenv("AMBIT_TEST_BINARY")+" run -- "+which)
	for _, k := range strings.Split(os.Getenv("KEYS"), ",") {
		time.Sleep(4 * time.Second)
		fmt.Println("=================== ", k)
		fmt.Println(d.screen(t))
		if k != "" {
			if x, ok := strings.CutPrefix(k, "text:"); ok {
				d.tmux(t, "send-keys", "-l", x)
			} else {
				d.keys(t, k)
			}
		}
	}
	fmt.Println(h.Do(t, "log").Stdout)
	for _, r := range s.model.Seen() { fmt.Println(r.Method, r.Host, r.URL, string(r.Body[:min(len(r.Body), 300)])) }
	fmt.Println(d.tmux(t, "display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_flag} #{keypad_cursor_flag}"))
}
