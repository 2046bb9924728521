package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ambit"
	"ambit/store/row"
)

var noon = time.Date(2030, 5, 17, 12, 0, 0, 123456000, time.UTC)

func open(t *testing.T) *Store {
	t.Helper()
	s := New(filepath.Join(t.TempDir(), "state.db"))
	t.Cleanup(func() { s.Close() })
	return s
}

func task(agent string) row.Task {
	id := ambit.NewTaskID()
	return row.Task{
		ID: id, Agent: agent, Owner: "payments@acme.example", Purpose: "fix tests", SPIFFE: "spiffe://acme.example/agent/" + agent + "/task/" + string(id),
		OnBehalfOf: "ada", Command: []string{"claude", "-p", "fix it"}, Workspace: "/home/ada/web", PID: 4711, Process: "pid:[1] 5",
		Started: noon, Expires: noon.Add(time.Hour), State: row.TaskLive, Exit: row.NoExit,
		Grants: ambit.Digest{1, 2}, Key: ambit.Digest{3, 4}, Audiences: []string{},
	}
}

func addTask(t *testing.T, s *Store) row.Task {
	t.Helper()
	v := task("web-fixer")
	if err := s.AddTask(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	return v
}

func question(task ambit.TaskID, ticket string) row.Question {
	return row.Question{Ticket: ticket, Task: task, Digest: ambit.Digest{9}, Action: []byte(`{"a":1}`), Decision: []byte(`{}`),
		Preview: "DELETE", Asked: noon, Expires: noon.Add(5 * time.Minute), State: row.QuestionOpen}
}

func TestTaskLife(t *testing.T) {
	s := open(t)
	parent := addTask(t, s)
	child := task("reader")
	child.Parent, child.Command, child.Audiences = parent.ID, nil, []string{"vault", "https://sts.example"}
	if err := s.AddTask(t.Context(), child); err != nil {
		t.Fatal(err)
	}
	child.Command = []string{}
	got, err := s.Task(t.Context(), child.ID)
	if err != nil || cmp.Diff(child, got) != "" {
		t.Fatalf("Task: %v\n%s", err, cmp.Diff(child, got))
	}

	end := row.TaskEnd{State: row.TaskRevoked, At: noon.Add(time.Minute), By: "ada", Why: "enough", Exit: 137}
	if err := s.EndTask(t.Context(), child.ID, end); err != nil {
		t.Fatal(err)
	}
	child.State, child.Ended, child.EndedBy, child.EndWhy, child.Exit = end.State, end.At, end.By, end.Why, end.Exit
	if got, err = s.Task(t.Context(), child.ID); err != nil || cmp.Diff(child, got) != "" {
		t.Fatalf("Task after its end: %v\n%s", err, cmp.Diff(child, got))
	}
	live, err := s.LiveTasks(t.Context())
	if err != nil || cmp.Diff([]row.Task{parent}, live) != "" {
		t.Errorf("LiveTasks: %v\n%s", err, cmp.Diff([]row.Task{parent}, live))
	}
	recent, err := s.RecentTasks(t.Context(), "reader", 5)
	if err != nil || cmp.Diff([]row.Task{child}, recent) != "" {
		t.Errorf("RecentTasks: %v\n%s", err, cmp.Diff([]row.Task{child}, recent))
	}
	if high, err := s.Clock(t.Context()); err != nil || !high.Equal(end.At) {
		t.Errorf("Clock = %v, %v, want %v", high, err, end.At)
	}
}

func TestWhatIsOverStaysOver(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	end := row.TaskEnd{State: row.TaskEnded, At: noon, Exit: 0}
	if err := s.EndTask(t.Context(), v.ID, end); err != nil {
		t.Fatal(err)
	}
	if err := s.EndTask(t.Context(), v.ID, row.TaskEnd{State: row.TaskRevoked, At: noon}); !errors.Is(err, row.ErrMoved) {
		t.Errorf("a second end: %v, want ErrMoved", err)
	}
	if err := s.EndTask(t.Context(), v.ID, row.TaskEnd{State: row.TaskLive, At: noon}); err == nil {
		t.Error("ended a task into life")
	}
	if err := s.EndTask(t.Context(), ambit.NewTaskID(), end); !errors.Is(err, row.ErrMissing) {
		t.Errorf("end of an unknown task: %v, want ErrMissing", err)
	}
	if err := s.AddTask(t.Context(), v); !errors.Is(err, row.ErrExists) {
		t.Errorf("a task id used again: %v, want ErrExists", err)
	}
	// What the program would never do, the schema refuses too.
	for _, q := range []string{
		`UPDATE tasks SET state = 'live'`,
		`UPDATE tasks SET state = 'sleeping'`,
		`INSERT INTO revocations VALUES ('planet', 'x', 'y', 'z', 1)`,
		`INSERT INTO leases (id, task, service, provider, state, minted, expires) VALUES ('l', 'no such task', 's', 'p', 'live', 1, 1)`,
		`INSERT INTO leases (id, task, service, provider, state, minted, expires) SELECT 'l', id, 's', 'p', 'written-off', 1, 1 FROM tasks`,
		`UPDATE clock SET high = 'noon'`,
	} {
		if _, err := s.open.write.Exec(q); err == nil {
			t.Errorf("the schema took: %s", q)
		}
	}
	if _, err := s.open.read.Exec(`DELETE FROM tasks`); err == nil {
		t.Error("a reader's connection wrote")
	}
}

func TestAgents(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	again := task(v.Agent)
	again.Owner, again.Started, again.Expires = "ops@acme.example", noon.Add(time.Hour), noon.Add(2*time.Hour)
	if err := s.AddTask(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if err := s.BarAgent(t.Context(), v.Agent, "ada", "it leaks", noon); err != nil {
		t.Fatal(err)
	}
	want := row.Agent{Name: v.Agent, Owner: "ops@acme.example", Purpose: v.Purpose, FirstSeen: noon, LastSeen: again.Started,
		Barred: noon, BarredBy: "ada", BarWhy: "it leaks"}
	got, err := s.Agents(t.Context())
	if err != nil || cmp.Diff([]row.Agent{want}, got) != "" {
		t.Fatalf("Agents: %v\n%s", err, cmp.Diff([]row.Agent{want}, got))
	}
	if err := s.BarAgent(t.Context(), "nobody", "ada", "", noon); !errors.Is(err, row.ErrMissing) {
		t.Errorf("barring nobody: %v, want ErrMissing", err)
	}
	if _, err := s.Agent(t.Context(), "nobody"); !errors.Is(err, row.ErrMissing) {
		t.Errorf("Agent(nobody): %v, want ErrMissing", err)
	}
	rev := row.Revocation{Kind: "agent", Name: v.Agent, By: "ada", Why: "it leaks", At: noon}
	if err := s.AddRevocation(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	revs, err := s.Revocations(t.Context(), 10)
	if err != nil || cmp.Diff([]row.Revocation{rev}, revs) != "" {
		t.Errorf("Revocations: %v\n%s", err, cmp.Diff([]row.Revocation{rev}, revs))
	}
}

func TestQuestionIsSpentByExactlyOne(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	q := question(v.ID, "q-1")
	if err := s.AddQuestion(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	spend := row.QuestionMove{Ticket: "q-1", From: row.QuestionApproved, To: row.QuestionSpent, At: noon.Add(2 * time.Second)}
	if err := s.MoveQuestion(t.Context(), spend); !errors.Is(err, row.ErrMoved) {
		t.Fatalf("spent what nobody approved: %v", err)
	}
	yes := row.QuestionMove{Ticket: "q-1", From: row.QuestionOpen, To: row.QuestionApproved, At: noon.Add(time.Second), By: "ada", Why: "ok"}
	if err := s.MoveQuestion(t.Context(), yes); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	won := make(chan error, 16)
	for range cap(won) {
		wg.Go(func() { won <- s.MoveQuestion(t.Context(), spend) })
	}
	wg.Wait()
	close(won)
	n := 0
	for err := range won {
		if err == nil {
			n++
		} else if !errors.Is(err, row.ErrMoved) {
			t.Errorf("a loser got %v, want ErrMoved", err)
		}
	}
	if n != 1 {
		t.Errorf("%d callers spent one approval", n)
	}
	q.State, q.By, q.Why, q.Answered, q.Spent = row.QuestionSpent, "ada", "ok", yes.At, spend.At
	got, err := s.Question(t.Context(), "q-1")
	if err != nil || cmp.Diff(q, got) != "" {
		t.Errorf("Question: %v\n%s", err, cmp.Diff(q, got))
	}
	if _, err := s.open.write.Exec(`UPDATE questions SET state = 'approved'`); err == nil {
		t.Error("the schema let a spent approval come back")
	}
}

func TestQuestionsSince(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	for i := range 3 {
		q := question(v.ID, fmt.Sprint("q-", i))
		q.Asked = noon.Add(time.Duration(i) * time.Hour)
		q.Expires = q.Asked.Add(time.Minute)
		if err := s.AddQuestion(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.QuestionsSince(t.Context(), noon.Add(time.Hour).Add(time.Second))
	if err != nil || len(got) != 2 || got[0].Ticket != "q-1" || got[1].Ticket != "q-2" {
		t.Errorf("QuestionsSince = %v, %v", got, err)
	}
	if err := s.AddQuestion(t.Context(), question(v.ID, "q-1")); !errors.Is(err, row.ErrExists) {
		t.Errorf("a ticket used again: %v, want ErrExists", err)
	}
}

func TestLeaseLife(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	l := row.Lease{ID: strings.Repeat("ab", 16), Task: v.ID, Service: "github", Provider: "static", State: row.LeaseRequested, Minted: noon, Expires: noon.Add(time.Minute)}
	if err := s.AddLease(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if err := s.AddLease(t.Context(), l); !errors.Is(err, row.ErrExists) {
		t.Errorf("a lease id used again: %v, want ErrExists", err)
	}
	for _, m := range []row.LeaseMove{
		{From: row.LeaseRequested, To: row.LeaseLive, Handle: "h1", Expires: noon.Add(time.Hour), Sealed: []byte("sealed")},
		{From: row.LeaseLive, To: row.LeaseRevoking},
		{From: row.LeaseRevoking, To: row.LeaseDead},
	} {
		m.ID, m.At = l.ID, noon.Add(time.Second)
		open, err := s.OpenLeases(t.Context())
		if err != nil || len(open) != 1 {
			t.Fatalf("before %v: OpenLeases = %v, %v", m, open, err)
		}
		if want := m.From != row.LeaseRequested; want != (string(open[0].Sealed) == "sealed") {
			t.Errorf("before %v: sealed is %q", m, open[0].Sealed)
		}
		if err := s.MoveLease(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := s.MoveLease(t.Context(), m); !errors.Is(err, row.ErrMoved) {
			t.Errorf("the same move again: %v, want ErrMoved", err)
		}
	}
	l.State, l.Handle, l.Expires, l.Ended = row.LeaseDead, "h1", noon.Add(time.Hour), noon.Add(time.Second)
	got, err := s.TaskLeases(t.Context(), v.ID)
	if err != nil || cmp.Diff([]row.Lease{l}, got) != "" {
		t.Errorf("TaskLeases: %v\n%s", err, cmp.Diff([]row.Lease{l}, got))
	}
	if open, err := s.OpenLeases(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("OpenLeases = %v, %v, want none", open, err)
	}
}

// What was written off stays so, and keeps no secret.
func TestWrittenOff(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	l := row.Lease{ID: strings.Repeat("ab", 16), Task: v.ID, Service: "shop", Provider: "postgres", State: row.LeaseRevoking, Minted: noon, Expires: noon.Add(time.Minute), Sealed: []byte("SEALED-77d0")}
	if err := s.AddLease(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	m := row.LeaseMove{ID: l.ID, From: row.LeaseRevoking, To: row.LeaseWrittenOff, At: noon.Add(time.Hour)}
	if err := s.MoveLease(t.Context(), m); err == nil {
		t.Error("written off by nobody, without a reason")
	}
	m.WriteOff = row.WriteOff{By: "ada", Why: "the database was deleted", Remains: "a role"}
	if err := s.MoveLease(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	l.State, l.Ended, l.Sealed, l.WriteOff = row.LeaseWrittenOff, m.At, nil, m.WriteOff
	if got, err := s.Lease(t.Context(), l.ID); err != nil || cmp.Diff(l, got) != "" {
		t.Errorf("Lease: %v\n%s", err, cmp.Diff(l, got))
	}
	for _, to := range []row.LeaseState{row.LeaseDead, row.LeaseRevoking, row.LeaseLive} {
		if err := s.MoveLease(t.Context(), row.LeaseMove{ID: l.ID, From: row.LeaseWrittenOff, To: to, At: noon}); err == nil {
			t.Errorf("what was written off is %s", to)
		}
	}
	if open, err := s.OpenLeases(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("OpenLeases = %v, %v, want none", open, err)
	}
	if _, err := s.Lease(t.Context(), "none"); !errors.Is(err, row.ErrMissing) {
		t.Errorf("an unknown lease: %v", err)
	}
	if err := s.EndTask(t.Context(), v.ID, row.TaskEnd{State: row.TaskEnded, At: noon}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), noon.Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("Prune = %d, %v, want 1", n, err)
	}
}

func TestServiceLife(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	kept := row.Service{Task: v.ID, Service: "shop", Provider: "postgres", Expires: noon.Add(time.Hour), Sealed: []byte("SEALED-5f2c")}
	if err := s.KeepService(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	other := kept
	other.Sealed = []byte("other")
	if err := s.KeepService(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	got, err := s.Services(t.Context())
	if err != nil || cmp.Diff([]row.Service{kept}, got) != "" {
		t.Errorf("Services: %v\n%s", err, cmp.Diff([]row.Service{kept}, got))
	}
	kept.Service, kept.Sealed = "none", nil
	if err := s.KeepService(t.Context(), kept); err == nil {
		t.Error("kept a service with nothing in it")
	}
	for range 2 {
		if err := s.ForgetService(t.Context(), v.ID, "shop"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Services(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("Services = %v, %v, want none", got, err)
	}
	// What was deleted is not in the file either.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.Path()); err != nil || bytes.Contains(b, []byte("SEALED-5f2c")) || !bytes.Contains(b, []byte(v.ID)) {
		t.Errorf("the file still holds it, or the search finds nothing: %v", err)
	}
}

func TestPrune(t *testing.T) {
	s := open(t)
	parent, alone, open := addTask(t, s), addTask(t, s), addTask(t, s)
	child := task("reader")
	child.Parent = parent.ID
	if err := s.AddTask(t.Context(), child); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.AddQuestion(t.Context(), question(parent.ID, "q-1")))
	must(s.AddLease(t.Context(), row.Lease{ID: "l", Task: open.ID, Service: "x", Provider: "static", State: row.LeaseLive, Minted: noon, Expires: noon}))
	for _, id := range []ambit.TaskID{parent.ID, child.ID, open.ID} {
		must(s.EndTask(t.Context(), id, row.TaskEnd{State: row.TaskEnded, At: noon}))
	}
	n, err := s.Prune(t.Context(), noon.Add(time.Hour))
	if err != nil || n != 2 {
		t.Fatalf("Prune = %d, %v, want 2", n, err)
	}
	left, err := s.RecentTasks(t.Context(), "", 10)
	must(err)
	for _, v := range left {
		if v.ID != alone.ID && v.ID != open.ID {
			t.Errorf("kept %s", v.ID)
		}
	}
	if len(left) != 2 {
		t.Errorf("kept %d tasks, want the live one and the one with a lease", len(left))
	}
}

func BenchmarkAddTask(b *testing.B) {
	s := New(filepath.Join(b.TempDir(), "state.db"))
	defer s.Close()
	for b.Loop() {
		if err := s.AddTask(b.Context(), task("web-fixer")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenNew(b *testing.B) {
	dir := b.TempDir()
	for i := 0; b.Loop(); i++ {
		s := New(filepath.Join(dir, fmt.Sprint(i)))
		if err := s.Ready(b.Context()); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
