package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
	c.Env = append(withAgents(c, d.env...), "TERM=xterm-256color", "SHELL=/bin/sh", "AMBIT_TEST_BINARY="+os.Getenv("AMBIT_TEST_BINARY"))
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
	if !ambittest.Eventually(ambittest.Patience, func() bool { s = d.screen(t); return ok(s) }) {
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

// long is what is typed: too long for a line of 120 columns, and not of 160.
const long = "these words are typed only to see where the line is broken and they fill more than a narrow screen has room for in one of its own lines"

// inOneLine says whether the typed text stands on the screen unbroken.
func inOneLine(s string) bool { return strings.Contains(s, long) }

// program is how a person uses an agent program on the screen.
type program struct {
	name       string
	model      func(t testing.TB, ca *ambittest.CA, steps []ambittest.Step, names ...string) *ambittest.Model
	kind       string // of its model's service
	path       string // of the calls of its model
	credential string // the variable that holds it
	inject     string // what the grants say of how it is sent; "" for what the kind knows
	header     string // that the credential arrives in
	format     string // what arrives there, with a {}
	step       ambittest.Step
	asks       []prompt // before it does the step
	refused    []string // what it tries besides, and does without
	first      []prompt // what it asks when it sees a folder for the first time
	prompt     string   // what shows that it takes input
	quit       []prompt
}

// prompt is a text to wait for, and the keys that answer it.
type prompt struct {
	text string
	keys []string
}

func (d *desk) answer(t *testing.T, ps []prompt) {
	t.Helper()
	for _, p := range ps {
		d.shows(t, p.text)
		d.keys(t, p.keys...)
	}
}

var ended = regexp.MustCompile(`status-[0-9]`)

// making is what the model has the program do.
const making = "echo by the agent >made.txt"

// use drives a program from the shell to the shell: it asks, takes input, has
// an answer from its model, and follows the size of the terminal. Ctrl-C is
// its own. Afterwards the terminal is as it was. The agent's home is empty
// before: nothing is set up, as for a person who has just installed Ambit.
func (p *program) use(t *testing.T, uid int) {
	h := ambittest.NewHome(t, uid)
	s := &session{h: h, model: p.model(t, ambittest.NewCA(t), []ambittest.Step{p.step}, "api."+p.kind+".com"), key: ambittest.NewCanary("model key")}
	h.Grants(t, "uses: ["+p.name+", git]\n"+head+"services:\n"+
		service(p.kind, p.kind, "", s.model.Server, ", credential: {env: "+p.credential+"}"+p.inject)+files)
	d := newDesk(t, h, p.credential+"="+s.key.Value)
	d.types(t, "stty -g >before; $AMBIT_TEST_BINARY run -- "+p.name+"; echo status-$?; stty -g >after")
	d.answer(t, p.first)
	d.shows(t, p.prompt)
	d.tmux(t, "send-keys", "-l", long)
	d.until(t, "what was typed, in two lines", func(s string) bool {
		return strings.Contains(s, long[:30]) && strings.Contains(s, long[len(long)-10:]) && !inOneLine(s)
	})
	d.tmux(t, "resize-window", "-x", "160", "-y", "50")
	d.until(t, "what was typed, in one line", inOneLine)
	d.keys(t, "C-c")
	d.until(t, "that Ctrl-C took back what was typed", func(s string) bool { return !strings.Contains(s, long[:30]) })
	d.tmux(t, "send-keys", "-l", "go on")
	d.shows(t, "go on")
	time.Sleep(300 * time.Millisecond) // Enter right after other keys is taken for a pasted line
	d.keys(t, "Enter")
	d.answer(t, p.asks)
	d.shows(t, "All steps are done.")
	if got := h.Read(t, "made.txt"); got != "by the agent\n" {
		t.Errorf("the agent's command made %q: %q", got, s.model.Results())
	}
	if len(family(h, d.shell(t))) < 4 {
		t.Error("the run has ended before it was told to")
	}
	d.answer(t, p.quit)
	if end := d.until(t, "the end", ended.MatchString); !strings.Contains(end, "status-0") {
		t.Errorf("another exit status than 0:\n%s", end)
	}
	d.sane(t)
	if strings.Contains(d.tmux(t, "capture-pane", "-p", "-S", "-"), s.key.Value) {
		t.Error("the credential was shown")
	}
	s.keyArrived(t, p.path, p.header, strings.Replace(p.format, "{}", s.key.Value, 1))
	p.onlyRefused(t, h)
	verified(t, h, s.key)
}

// onlyRefused makes sure that nothing is refused to the program but what it is
// known to try: a first start that waits for other hosts, or a program that needs
// more than its profile gives, is seen here.
func (p *program) onlyRefused(t *testing.T, h *ambittest.Home) {
	t.Helper()
	for _, e := range logged(t, h, "") {
		if e.Verdict == "deny" && !slices.Contains(p.refused, strings.Trim(string(e.Resource), `"`)) {
			t.Errorf("refused, and nobody has said whether it should be: %s %s", e.Operation, e.Resource)
		}
	}
}

// shell is the shell's process.
func (d *desk) shell(t *testing.T) (pid int) {
	t.Helper()
	if _, err := fmt.Sscan(d.tmux(t, "display-message", "-p", "#{pane_pid}"), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// sane sees that the terminal is as before the run: its settings, its modes,
// and that the shell shows what is typed.
func (d *desk) sane(t *testing.T) {
	t.Helper()
	d.types(t, "clear; echo sane-$((1))")
	d.shows(t, "sane-1")
	if before, after := d.h.Read(t, "before"), d.h.Read(t, "after"); before == "" || before != after {
		t.Errorf("the terminal was set as %q and is as %q", before, after)
	}
	const modes = "alternate #{alternate_on}, cursor #{cursor_flag}, mouse #{mouse_any_flag}, keypad #{keypad_flag}#{keypad_cursor_flag}, insert #{insert_flag}, wrap #{wrap_flag}"
	if got := strings.TrimSpace(d.tmux(t, "display-message", "-p", modes)); got != "alternate 0, cursor 1, mouse 0, keypad 00, insert 0, wrap 1" {
		t.Errorf("the terminal's modes are %s", got)
	}
}

// TestClaudeScreen uses Claude Code on its own screen, with a key of the API and
// with a token of a subscription. It asks neither for a login nor whether to use
// the key, and looks for no other host.
func TestClaudeScreen(t *testing.T) {
	slow(t)
	ambittest.Agent(t, "claude")
	p := program{
		name: "claude", model: ambittest.NewAnthropic, kind: "anthropic", path: "/v1/messages",
		step:    ambittest.Step{Tool: "Bash", Input: map[string]any{"command": making, "description": "make a file"}},
		asks:    []prompt{{"Do you want to proceed?", []string{"Enter"}}},
		refused: []string{"api.anthropic.com", "api.anthropic.com/api/claude_code/policy_limits", "api.anthropic.com/api/claude_code/settings"},
		first:   []prompt{{"Yes, I trust this folder", []string{"Enter"}}},
		prompt:  "? for shortcuts",
		quit:    []prompt{{"? for shortcuts", []string{"C-c"}}, {"Press Ctrl-C again to exit", []string{"C-c"}}},
	}
	t.Run("key", func(t *testing.T) {
		p := p
		p.credential, p.header, p.format = "ANTHROPIC_API_KEY", "X-Api-Key", "{}"
		p.use(t, ambittest.Users()[len(ambittest.Users())-1])
	})
	t.Run("token", func(t *testing.T) {
		p := p
		p.credential, p.header, p.format = "CLAUDE_CODE_OAUTH_TOKEN", "Authorization", "Bearer {}"
		p.inject = `, inject: {header: Authorization, format: "Bearer {}"}`
		p.use(t, ambittest.Users()[len(ambittest.Users())-1])
	})
}

// TestCodexScreen uses Codex on its own screen. It does not ask for a login, and
// waits for no host that is refused.
func TestCodexScreen(t *testing.T) {
	slow(t)
	ambittest.Agent(t, "codex")
	p := program{
		name: "codex", model: ambittest.NewOpenAI, kind: "openai", path: "/v1/responses",
		credential: "OPENAI_API_KEY", header: "Authorization", format: "Bearer {}",
		step:    ambittest.Step{Tool: "exec", Text: fmt.Sprintf("text(await tools.exec_command({cmd: %q}))", making)},
		refused: []string{"raw.githubusercontent.com"}, // news for the first screen
		first:   []prompt{{"Trust and continue", []string{"Enter"}}},
		prompt:  "Ask Codex to do anything",
		quit:    []prompt{{"Worked for", []string{"C-c"}}}, // before that, Ctrl-C would only end the turn
	}
	p.use(t, ambittest.Users()[len(ambittest.Users())-1])
}
