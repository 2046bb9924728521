package gatetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/pipeline"
)

// toy is the smallest gate: a line "effect mark" is an action; the upstream gets
// "secret effect mark" and answers with what it got. Each fault makes it a gate
// that must not pass.
type toy struct {
	s     Setup
	fault string
	up    net.Listener
	in    net.Listener

	mu   sync.Mutex
	open map[net.Conn]bool
	dead bool
}

func startToy(fault string) func(t *testing.T, s Setup) Gate {
	return func(t *testing.T, s Setup) Gate {
		g := &toy{s: s, fault: fault, open: make(map[net.Conn]bool), up: listen(t), in: listen(t)}
		var wg sync.WaitGroup
		wg.Go(func() { g.accept(&wg, g.up, g.upstream) })
		wg.Go(func() { g.accept(&wg, g.in, g.serve) })
		t.Cleanup(func() {
			g.cut()
			g.up.Close()
			wg.Wait()
		})
		return g
	}
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (g *toy) accept(wg *sync.WaitGroup, l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			serve(c)
		})
	}
}

// watch gives a context that ends when the other side of c hangs up.
func watch(c net.Conn) (context.Context, *bufio.Reader, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, c)
		w.CloseWithError(errors.Join(io.EOF, err))
		cancel()
	}()
	return ctx, bufio.NewReader(r), func() { c.Close(); r.Close(); cancel() }
}

func (g *toy) upstream(c net.Conn) {
	ctx, r, stop := watch(c)
	defer stop()
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	secret, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	_, mark, _ := strings.Cut(rest, " ")
	g.s.Saw(ctx, Seen{Mark: mark, Credential: secret})
	fmt.Fprintf(c, "done %s", line)
}

func (g *toy) serve(c net.Conn) {
	g.mu.Lock()
	g.open[c] = true
	dead := g.dead
	g.mu.Unlock()
	if dead && g.fault != "lives on" {
		return
	}
	ctx, r, stop := watch(c)
	defer stop()
	if g.fault == "deaf" {
		ctx = context.Background()
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	word, mark, _ := strings.Cut(strings.TrimSpace(line), " ")
	fmt.Fprintln(c, g.do(ctx, word, mark))
}

func (g *toy) action(word, mark string) ambit.Action {
	a := ambit.Action{Task: g.s.Task.ID, Agent: g.s.Task.Agent, Service: "toy", Operation: "toy." + word,
		Resource: ambit.Resource{Kind: "toy", Segments: []string{"x"}}, Args: map[string]string{"mark": mark}}
	if err := a.Effect.UnmarshalText([]byte(word)); err != nil {
		a.Effect = ambit.Irreversible
	}
	switch g.fault {
	case "binds nothing":
		a.Args = nil
	case "calls all reads":
		a.Effect = ambit.Read
	case "binds the time":
		a.Args["at"] = time.Now().String()
	}
	return a
}

func (g *toy) do(ctx context.Context, word, mark string) string {
	a := g.action(word, mark)
	if g.fault == "performs first" {
		if _, err := g.send(ctx, word, mark, canary); err != nil {
			return "broken"
		}
	}
	var answer string
	err := g.s.Do.Do(ctx, a, nil, func(ctx context.Context, p pipeline.Permit) (o ambit.Outcome, detail string, err error) {
		if g.fault != "needs no permit" {
			if err := p.Check(); err != nil {
				return ambit.Refused, "", err
			}
		}
		answer, err = g.send(ctx, word, mark, string(p.Secret().Reveal()))
		if err != nil {
			return ambit.OutcomeUnknown, "broke off", errors.New("the upstream broke off")
		}
		if g.fault == "tells the log" {
			return ambit.Performed, answer, nil
		}
		return ambit.Performed, "", nil
	})
	if g.fault == "tells an alert" {
		g.s.Alert("seen", answer)
	}
	if g.fault == "performs anyway" && err != nil {
		if answer, err = g.send(ctx, word, mark, canary); err != nil {
			return "broken"
		}
	}
	return g.answer(answer, err)
}

func (g *toy) answer(answer string, err error) string {
	if r, ok := errors.AsType[*pipeline.Refusal](err); ok && g.fault != "always happy" {
		record := r.Record.String()
		if g.fault == "no record" {
			record = "r0"
		}
		return "refused " + r.Code + " " + record
	}
	if (err != nil || answer == "") && g.fault != "always happy" {
		return "broken"
	}
	if g.fault != "reflects" {
		answer = strings.ReplaceAll(answer, canary, "****")
	}
	return "done " + answer
}

func (g *toy) send(ctx context.Context, word, mark, secret string) (string, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", g.up.Addr().String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	g.mu.Lock()
	g.open[c] = true
	g.mu.Unlock()
	if g.fault == "forgets the credential" {
		secret = "-"
	}
	fmt.Fprintf(c, "%s %s %s\n", secret, word, mark)
	b, err := io.ReadAll(c)
	if err == nil && len(b) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return string(bytes.TrimSpace(b)), err
}

// Attempt sends one line.
func (g *toy) Attempt(ctx context.Context, e ambit.Effect, mark string) (r Result) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", g.in.Addr().String())
	if err != nil {
		return Result{Err: err}
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	fmt.Fprintf(c, "%v %s\n", e, mark)
	r.Received, r.Err = io.ReadAll(c)
	f := strings.Fields(string(r.Received))
	switch {
	case len(f) > 0 && f[0] == "done":
		r.Done = true
	case len(f) == 3 && f[0] == "refused":
		r.Code, r.Record = f[1], f[2]
	}
	return r
}

// Revoke cuts everything.
func (g *toy) Revoke() {
	if g.fault == "ignores revocation" {
		return
	}
	g.cut()
}

func (g *toy) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
	if g.fault != "lives on" {
		g.in.Close()
	}
	for c := range g.open {
		c.Close()
	}
	if g.fault == "lives on" {
		time.AfterFunc(3*time.Second, func() { g.in.Close() })
	}
}
