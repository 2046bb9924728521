package identity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"ambit/store"
)

var td = spiffeid.RequireTrustDomainFromString(domain)

func TestRootFile(t *testing.T) {
	h := newHouse(t)
	path := filepath.Join(h.dir, rootFile)
	fi, err := os.Stat(path)
	if err != nil || fi.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", fi.Mode(), err)
	}
	before, _ := os.ReadFile(path)
	e := h.enrol()
	h.open()
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("opening changed the file")
	}
	if _, err := h.VerifyX509(e.SVID); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	l, _ := os.ReadDir(h.dir)
	for _, f := range l {
		if strings.HasPrefix(f.Name(), ".authority-") {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}

func TestTwoDaemonsMakeOneRoot(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	kids := make([]string, 8)
	for i := range kids {
		wg.Go(func() {
			r, err := openRoot(dir, td, time.Now())
			if err != nil {
				t.Error(err)
				return
			}
			kids[i] = r.gens[0].kid
		})
	}
	wg.Wait()
	for _, k := range kids {
		if k != kids[0] {
			t.Errorf("roots differ: %v", kids)
		}
	}
}

func TestRootThatCannotBeUsed(t *testing.T) {
	edit := func(f func(*rootJSON)) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var j rootJSON
			if err := json.Unmarshal(b, &j); err != nil {
				t.Fatal(err)
			}
			f(&j)
			if b, err = json.Marshal(j); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	foreign, err := openRoot(t.TempDir(), td, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	fb, err := foreign.encode(td)
	if err != nil {
		t.Fatal(err)
	}
	var fj rootJSON
	if err := json.Unmarshal(fb, &fj); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*testing.T, string)
		says  string
	}{
		"empty":           {func(t *testing.T, p string) { os.WriteFile(p, nil, 0o600) }, "damaged"},
		"cut short":       {func(t *testing.T, p string) { b, _ := os.ReadFile(p); os.WriteFile(p, b[:len(b)/2], 0o600) }, "damaged"},
		"another word":    {func(t *testing.T, p string) { os.WriteFile(p, []byte(`{"trust_domain":"x","extra":1}`), 0o600) }, "damaged"},
		"no generations":  {edit(func(j *rootJSON) { j.Generations = nil }), "damaged"},
		"no key":          {edit(func(j *rootJSON) { j.Generations[0].Key = nil }), "damaged"},
		"another's key":   {edit(func(j *rootJSON) { j.Generations[0].Key = fj.Generations[0].Key }), "does not belong"},
		"another JWT key": {edit(func(j *rootJSON) { j.Generations[0].JWTKey = fj.Generations[0].JWTKey }), "does not belong"},
		"no certificate":  {edit(func(j *rootJSON) { j.Generations[0].Certificate = nil }), "damaged"},
		"another domain":  {edit(func(j *rootJSON) { j.TrustDomain = "evil.example" }), `of trust domain "evil.example", not "acme.example"`},
		"readable by all": {func(t *testing.T, p string) { os.Chmod(p, 0o644) }, "chmod 600"},
		"a link":          {func(t *testing.T, p string) { os.Rename(p, p+"2"); os.Symlink(p+"2", p) }, "plain file"},
		"17 generations": {edit(func(j *rootJSON) {
			for range 16 {
				j.Generations = append(j.Generations, j.Generations[0])
			}
		}), "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, rootFile)
			if _, err := openRoot(dir, td, time.Now()); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, path)
			_, err := openRoot(dir, td, time.Now())
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want the path and %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "PRIVATE") {
				t.Error("the error shows a key")
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	s := store.New(filepath.Join(t.TempDir(), "state.db"))
	defer s.Close()
	for name, c := range map[string]Config{
		"nothing":      {},
		"no folder":    {TrustDomain: domain, Store: s, Clock: time.Now},
		"no store":     {Dir: t.TempDir(), TrustDomain: domain, Clock: time.Now},
		"no clock":     {Dir: t.TempDir(), TrustDomain: domain, Store: s},
		"bad domain":   {Dir: t.TempDir(), TrustDomain: "Acme Example", Store: s, Clock: time.Now},
		"folder gone":  {Dir: "/nonexistent/x", TrustDomain: domain, Store: s, Clock: time.Now},
		"store broken": {Dir: t.TempDir(), TrustDomain: domain, Store: store.New("/nonexistent/x/y"), Clock: time.Now},
	} {
		if _, err := Open(t.Context(), c); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestRootRollsOver(t *testing.T) {
	h := newHouse(t)
	old := h.root.gens[0]
	h.pass(rootLife - rollBefore - time.Minute)
	long := h.enrol(func(q *Request) { q.TTL = MaxTTL })
	if err := h.Sweep(t.Context()); err != nil || h.root.gens[0].kid != old.kid {
		t.Fatalf("rolled over early (%v)", err)
	}
	token, err := h.JWT(long.Task.ID, []string{"a"}, MaxJWTLife)
	if err != nil {
		t.Fatal(err)
	}
	h.pass(2 * time.Minute)
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.root.gens) != 2 || h.root.gens[0].kid == old.kid || h.root.gens[1].key != nil || h.root.gens[1].jwtKey != nil {
		t.Fatalf("after the roll: %d generations", len(h.root.gens))
	}
	for range 2 {
		if _, err := h.VerifyX509(long.SVID); err != nil {
			t.Errorf("signed before the roll: %v", err)
		}
		if _, err := h.VerifyJWT(token, "a"); err != nil {
			t.Errorf("token from before the roll: %v", err)
		}
		fresh := h.enrol()
		if _, _, err := x509svid.ParseAndVerify([][]byte{fresh.SVID}, h.bundle(), x509svid.WithTime(h.clock())); err != nil {
			t.Errorf("signed after the roll, by others' reading: %v", err)
		}
		if seq, ok := h.bundle().SequenceNumber(); !ok || seq != 2 {
			t.Errorf("sequence %d", seq)
		}
		h.open()
	}
	h.pass(rollBefore)
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.open()
	if l := h.bundle().X509Authorities(); len(l) != 2 {
		t.Errorf("%d roots are trusted, the first has expired but was not due to be dropped before the next roll", len(l))
	}
}

func FuzzInput(f *testing.F) {
	dir := f.TempDir()
	s := store.New(filepath.Join(dir, "state.db"))
	defer s.Close()
	a, err := Open(f.Context(), Config{Dir: dir, TrustDomain: domain, Store: s, Clock: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	q, _ := request(f)
	e, err := a.Enrol(f.Context(), q)
	if err != nil {
		f.Fatal(err)
	}
	token, err := a.JWT(e.Task.ID, []string{"a"}, 0)
	if err != nil {
		f.Fatal(err)
	}
	root, _ := os.ReadFile(filepath.Join(dir, rootFile))
	for _, b := range [][]byte{q.CSR, e.SVID, []byte(token), root, []byte(e.Task.SPIFFE), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseCSR(b); err == nil && k == nil {
			t.Error("no key and no error")
		}
		if got, err := a.VerifyX509(b); err == nil && got.ID != e.Task.ID {
			t.Errorf("a certificate of %q", got.ID)
		}
		if c, err := a.VerifyJWT(string(b), "a"); err == nil && c.Task() != e.Task.ID {
			t.Errorf("a token of %q", c.Task())
		}
		if agent, id, err := a.parseID(string(b)); err == nil {
			if again, err := a.id(agent, id); err != nil || again.String() != string(b) {
				t.Errorf("%q reads as %s", b, again)
			}
		}
		_, _ = parseRoot(b, td)
	})
}
