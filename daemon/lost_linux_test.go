package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
	"ambit/audit"
	"ambit/config"
	"ambit/console"
	"ambit/daemon/wire"
	"ambit/identity"
	"ambit/pipeline"
	"ambit/store"
	"ambit/store/row"
)

// TestARevocationWhateverItsReason: a reason that the authority would not take keeps no
// task alive, and what was revoked and what the log says are the same.
func TestARevocationWhateverItsReason(t *testing.T) {
	x := start(t, newHome(t))
	n := 0
	for what, why := range map[string]string{
		"two lines": "over budget\nsee the ticket", "too long": strings.Repeat("ü", 2000), "tricks": "\x1b[2J\u202eevil\x00", "no text": "\xff\xfe", "none": "",
	} {
		a := x.enrol("worker")
		r, err := x.desk().Revoke(t.Context(), console.Revoke{Target: string(a.got.Task), Why: why})
		if err != nil || len(r.Tasks) != 1 {
			t.Errorf("%s: revoked %v, %v", what, r.Tasks, err)
		}
		n++
		if got := state(t, x.desk(), a.got.Task); got.State != string(row.TaskRevoked) || strings.ContainsAny(got.Why, "\x1b\u202e\n") {
			t.Errorf("%s: the task is %+v", what, got)
		}
		if recs := records(t, x, audit.Revoke); len(recs) != n {
			t.Errorf("%s: %d records of %d revocations", what, len(recs), n)
		}
	}
}

// inside is a daemon whose parts a test calls itself.
func inside(t *testing.T) *Daemon {
	t.Helper()
	h := newHome(t)
	ctx, stop := context.WithCancel(t.Context())
	d := &Daemon{home: h, build: "test", compile: compile, sessions: map[ambit.TaskID]*session{}, stop: stop, ctx: ctx}
	var err error
	if err = h.Make(); err == nil {
		if d.settings, err = h.Load(); err == nil {
			err = d.open(ctx)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

func (d *Daemon) enrolled(t *testing.T) identity.Task {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.ids.Enrol(t.Context(), identity.Request{Agent: "worker", TTL: time.Hour, CSR: csr, PID: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	return e.Task
}

// TestARevocationIsRecordedWhoeverWaits: who revoked a task and presses Ctrl-C, because
// its leases end slowly, has revoked it, and the log says so.
func TestARevocationIsRecordedWhoeverWaits(t *testing.T) {
	d := inside(t)
	k := d.enrolled(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	d.Revoke(gone, console.Revoke{Target: string(k.ID), Why: "enough"}) // nobody hears the answer
	if d.ids.Live(k.ID) == nil {
		t.Error("the task lives")
	}
	if recs := records(t, &house{home: d.home}, audit.Revoke); len(recs) != 1 || recs[0].Task != string(k.ID) || !strings.Contains(recs[0].Detail, "enough") {
		t.Errorf("the log says %+v", recs)
	}
}

// TestNeverStartedWantsProof: the log that is there says nothing of a task that is older
// than it, and its end nothing of one of which something was kept.
func TestNeverStartedWantsProof(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	before, after := at.Add(-time.Minute), at.Add(time.Minute)
	for what, c := range map[string]struct {
		log  written
		kept bool
		want beginning
	}{
		"a whole log":                         {written{whole: true, since: before}, false, startNever},
		"a whole log, and what was kept":      {written{whole: true, since: before}, true, startNever},
		"the end of a log":                    {written{since: before}, false, startNever},
		"the end of a log, and what was kept": {written{since: before}, true, startRecorded}, // the authority's clock stood ahead
		"an end that is too short":            {written{since: after}, false, startUnknown},
		"a log that is younger":               {written{whole: true, since: after}, false, startUnknown},
		"a younger log, and what was kept":    {written{whole: true, since: after}, true, startRecorded},
		"a clock that was set back":           {written{whole: true, since: before, back: true}, false, startUnknown},
		"a log that cannot be read":           {written{back: true}, false, startUnknown},
	} {
		d := &Daemon{home: config.Home{Dir: t.TempDir()}, tail: func() *written { return &c.log }}
		k := identity.Task{ID: ambit.NewTaskID(), Started: at}
		if c.kept {
			if err := d.keep(k.ID, kept{}); err != nil {
				t.Fatal(err)
			}
		}
		if got := d.begun(&k); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}

// TestALostLogIsNoProof: the log is begun anew while a task lives, and its gatekeeper
// comes back and says how it ended. That its command ran nobody can deny.
func TestALostLogIsNoProof(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	a, kept := x.begun()
	x.end()
	for _, lost := range []string{h.Log(), filepath.Join(h.Keys(), "log.key"), kept} { // the person begins another log
		if err := os.RemoveAll(lost); err != nil {
			t.Fatal(err)
		}
	}
	y := start(t, h)
	eventually(t, "the link is back", func() bool { return a.Live() == nil })
	if err := a.End(t.Context(), wire.End{Status: -1, Detail: "killed"}); err != nil {
		t.Error(err)
	}
	if got := state(t, y.desk(), a.got.Task); got.Unstarted || got.Why != "" {
		t.Errorf("the list says of a task whose agent ran %+v", got)
	}
	if r := endOf(t, y, string(a.got.Task)); strings.Contains(string(r.Data), `"started":false`) {
		t.Errorf("the log says of a task whose agent ran %q, %s", r.Detail, r.Data)
	}
}

// TestAnEndWithoutAGatekeeper: a task that is revoked before its gatekeeper has come back
// has its end in the log, too.
func TestAnEndWithoutAGatekeeper(t *testing.T) {
	d := inside(t)
	k := d.enrolled(t)
	if err := d.ids.Revoke(t.Context(), k.ID, "ada", "enough"); err != nil {
		t.Fatal(err)
	}
	d.recall(k)
	recs := records(t, &house{home: d.home}, audit.TaskEnd)
	if len(recs) != 1 || recs[0].Task != string(k.ID) || !strings.Contains(recs[0].Detail, "revoked, and its gatekeeper was away") || !strings.Contains(string(recs[0].Data), `"state":"revoked"`) {
		t.Errorf("the log says %+v", recs)
	}
}

// TestAnEndWithoutADaemon: the daemon dies when it has revoked a task, and before the
// gatekeeper could say that it has ended. The next one says it, once.
func TestAnEndWithoutADaemon(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	a := x.enrol("here")
	if _, err := a.Start(t.Context(), wire.Start{Walls: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	x.end()
	s := store.New(h.Store())
	ids, err := identity.Open(t.Context(), identity.Config{Dir: h.Keys(), TrustDomain: config.Defaults().TrustDomain, Store: s, Clock: time.Now})
	if err == nil {
		err = ids.Revoke(t.Context(), a.got.Task, "ada", "enough")
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		y := start(t, h)
		state(t, y.desk(), a.got.Task) // answered when it has looked for what is left behind
		if r := endOf(t, y, string(a.got.Task)); r.Agent != "here" || !strings.Contains(string(r.Data), `"state":"revoked"`) || !strings.Contains(string(r.Data), `"started":true`) {
			t.Errorf("the log says %+v, %s", r, r.Data)
		}
		y.end()
		// As if it had been killed before it removed the task's folder.
		if err := os.MkdirAll((&Daemon{home: h}).folder(a.got.Task), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheEndOfAParent: what a task started ends with it: its gatekeeper is told, its end
// is recorded, and nobody says that it did not run.
func TestTheEndOfAParent(t *testing.T) {
	x := start(t, newHome(t))
	parent := x.enrol("parent")
	child, err := x.tryEnrol("child", func(e *wire.Enrol) { e.Parent = parent.got.Task })
	if err != nil {
		t.Fatal(err)
	}
	other := x.enrol("other")
	for _, a := range []*agent{parent, child} {
		if _, err := a.Start(t.Context(), wire.Start{Walls: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := parent.End(t.Context(), wire.End{Status: 0}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child is told", func() bool { return len(child.revoked) > 0 })
	if got := state(t, x.desk(), child.got.Task); got.State != "ended" || got.Unstarted || !strings.Contains(got.Why, "the task that started it has ended") {
		t.Errorf("the list says of the child %+v", got)
	}
	if r := endOf(t, x, string(child.got.Task)); !strings.Contains(string(r.Data), `"started":true`) {
		t.Errorf("the log says of the child %q, %s", r.Detail, r.Data)
	}
	if len(parent.revoked) > 0 || other.Live() != nil {
		t.Error("another than the child was told")
	}
}

// TestAGatekeeperDoesNotStayForEver: one that was taken over says that its task has
// ended, and stays.
func TestAGatekeeperDoesNotStayForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Daemon{ctx: t.Context()}
		ours, theirs := net.Pipe()
		s := newVisit(d, theirs, ambit.NewTaskID())
		s.end(wire.End{})
		s.end(wire.End{})
		time.Sleep(lingerTime / 2)
		if ended(ours) {
			t.Error("it cannot say what is left to say")
		}
		time.Sleep(lingerTime)
		if !ended(ours) {
			t.Error("it stays")
		}
	})
}

// TestNoTaskBeginsAtTheEnd: a daemon that is ending takes no gatekeeper, who asks the
// next one.
func TestNoTaskBeginsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		d := &Daemon{ctx: ctx}
		stop()
		if !ended(silent(d)) {
			t.Error("it is taken")
		}
	})
}

// TestAStopWaitsForNobodysTask: a task that begins when a person has just asked for the
// daemon's end keeps its daemon; without one the daemon ends.
func TestAStopWaitsForNobodysTask(t *testing.T) {
	d := inside(t)
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-d.ctx.Done()
	d = inside(t)
	k := d.enrolled(t)
	d.stopIdle()
	if d.ctx.Err() != nil {
		t.Error("it ends under a task")
	}
	if err := d.Stop(t.Context()); err == nil {
		t.Error("a person can end it under a task")
	}
	if err := d.ids.End(t.Context(), k.ID, 0); err != nil {
		t.Fatal(err)
	}
	d.stopIdle()
	if d.ctx.Err() == nil {
		t.Error("it stays for nobody")
	}
}

// TestAReasonIsInTheLog: why somebody answered as they did is for the log.
func TestAReasonIsInTheLog(t *testing.T) {
	for _, yes := range []bool{true, false} {
		x := start(t, newHome(t))
		a := x.enrol("worker")
		in := a.intent("http.delete")
		go a.Ask(context.Background(), pipeline.Question{Action: in.Action, Digest: in.Digest, Decision: ambit.Decision{Verdict: ambit.Ask, By: "f:1:1", Why: "why"}})
		var open []console.Question
		eventually(t, "the question is open", func() bool {
			open, _ = x.desk().Questions(t.Context(), false)
			return len(open) == 1
		})
		if _, err := x.desk().Resolve(t.Context(), console.Resolve{Ticket: open[0].Ticket, Approve: yes, Digest: open[0].Digest, Why: "the fixture was\nwrong\x1b[2J"}); err != nil {
			t.Fatal(err)
		}
		if recs := records(t, x, audit.Answer); len(recs) != 1 || !strings.Contains(recs[0].Detail, open[0].Ticket+": the fixture was; wrong") || strings.Contains(recs[0].Detail, "\x1b") {
			t.Errorf("the log says %+v", recs)
		}
		x.end()
	}
}
