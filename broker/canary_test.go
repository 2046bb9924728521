package broker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/store"
	"ambit/store/row"
)

// forms are how a secret could stand somewhere.
func forms(secret string) []string {
	b := []byte(secret)
	return []string{secret, base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), hex.EncodeToString(b),
		strings.ToUpper(hex.EncodeToString(b)), strings.Trim(fmt.Sprint(b), "[]")}
}

// A credential is found nowhere but where it is used: not in the store, the
// log, an error, or what any value prints.
func TestCanaryIsNowhere(t *testing.T) {
	const canary = "CANARY/9d1f7be2a0"
	dir := t.TempDir()
	s := store.New(filepath.Join(dir, "state.db"))
	defer s.Close()
	id := ambit.NewTaskID()
	now := time.Now()
	err := s.AddTask(t.Context(), row.Task{ID: id, Agent: "a", SPIFFE: "spiffe://x/agent/a/task/" + string(id), Started: now, Expires: now.Add(time.Hour), State: row.TaskLive})
	if err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	var mu sync.Mutex // leases of several services end side by side
	look := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
			fmt.Fprintf(&seen, verb+"\n", v)
		}
		if j, err := json.Marshal(v); err == nil {
			seen.Write(j)
		}
	}
	b, err := Open(Config{Store: s, Now: time.Now, Live: func(ambit.TaskID) error { return nil },
		Record: func(_ context.Context, l row.Lease) error { look(l); return nil }, Vault: NewVault(filepath.Join(dir, "leases.key")),
		Alert: func(x Trouble) { look(x) }, Make: func(string, []byte, row.Lease) (Provider, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	v, err := Value("TOKEN", []byte(canary))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token") // not where the store is
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	failing := Command{Argv: []string{"sh", "-c", "echo " + canary + "; echo no " + canary + " >&2; exit 1"}}
	for name, p := range map[string]Provider{"value": Static(v), "file": Static(File{Path: file}), "failing": Static(failing)} {
		look(p)
		if err := b.Register(id, name, now.Add(time.Hour), p); err != nil {
			t.Fatal(err)
		}
		l, err := b.Mint(t.Context(), id, name)
		look(l)
		look(err)
		if name == "failing" && err == nil || name != "failing" && string(l.Secret.Reveal()) != canary {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{canary + "\n" + canary, canary + "\x00", " " + canary} {
		_, err := Value("TOKEN", []byte(bad))
		look(err)
	}
	look(v)
	look(b)
	svc := b.tasks[id].services["value"]
	source, held := v.(*value).b, svc.now.secret.Reveal()
	if string(source) != canary || string(held) != canary {
		t.Fatal("the broker does not hold what it should")
	}
	look(svc)
	look(svc.now)
	if err := b.End(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(source, make([]byte, len(canary))) || !bytes.Equal(held, make([]byte, len(canary))) {
		t.Errorf("not wiped: %q %q", source, held)
	}
	if _, err := v.Read(t.Context()); err == nil {
		t.Error("the source still gives it")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(text)
	}
	for _, f := range forms(canary) {
		if i := bytes.Index(seen.Bytes(), []byte(f)); i >= 0 {
			t.Errorf("found as %q: …%q…", f, seen.Bytes()[max(0, i-60):min(seen.Len(), i+60)])
		}
	}
	if !bytes.Contains(seen.Bytes(), []byte(string(id))) {
		t.Error("the search would find nothing")
	}
	leases, err := s.TaskLeases(t.Context(), id)
	if err != nil || len(leases) != 3 {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	for _, l := range leases {
		if l.State != row.LeaseDead {
			t.Errorf("a lease of %s is %s", l.Service, l.State)
		}
	}
}

func TestSlowCommandIsEnded(t *testing.T) {
	start := time.Now()
	_, err := Command{Argv: []string{"sleep", "300"}, limit: 200 * time.Millisecond}.Read(t.Context())
	if err == nil || !strings.Contains(err.Error(), "longer than 200ms") || errors.Is(err, context.Canceled) || time.Since(start) > time.Minute {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if commandTime != 10*time.Second {
		t.Errorf("commands may take %v", commandTime)
	}
}

// A file that becomes a link after it was looked at is not followed.
func TestLinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(target, []byte("x"), 0o600), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	if f, err := openNoFollow(link); err == nil {
		f.Close()
		t.Error("followed a link")
	}
	f, err := openNoFollow(target)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
