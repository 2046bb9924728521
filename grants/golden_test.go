package grants

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestErrors loads each broken file and compares all that is said of it, line
// and column included.
func TestErrors(t *testing.T) {
	names, _ := filepath.Glob("testdata/errors/*.txtar")
	if len(names) < 4 {
		t.Fatalf("only %d corpora", len(names))
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := corpus(string(src))
			var b strings.Builder
			for i, f := range files {
				if strings.HasSuffix(f.name, ".want") {
					continue
				}
				got := loadError(t, f.data) + "\n"
				b.WriteString("-- " + f.name + " --\n" + f.data + "-- " + f.name + ".want --\n" + got)
				if *update {
					continue
				}
				if i+1 >= len(files) || files[i+1].name != f.name+".want" {
					t.Fatalf("%s has no golden answer", f.name)
				}
				if d := cmp.Diff(files[i+1].data, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", f.name, d)
				}
			}
			if *update {
				if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type corpusFile struct{ name, data string }

// corpus reads a text archive: "-- name --" begins a file.
func corpus(src string) (out []corpusFile) {
	for line := range strings.Lines(src) {
		if name, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(name, " --\n") {
			out = append(out, corpusFile{name: strings.TrimSuffix(name, " --\n")})
		} else if len(out) > 0 {
			out[len(out)-1].data += line
		}
	}
	return out
}

func validFiles(t testing.TB) map[string]string {
	names, _ := filepath.Glob("testdata/valid/*.yaml")
	if len(names) < 3 {
		t.Fatalf("only %d valid files", len(names))
	}
	out := make(map[string]string)
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(n), ".yaml")] = string(b)
	}
	return out
}

func TestPlain(t *testing.T) {
	for name, src := range validFiles(t) {
		golden(t, "plain/"+name+".txt", mustLoad(t, src).Plain())
	}
}

func TestCanonical(t *testing.T) {
	for name, src := range validFiles(t) {
		f, err := Parse("ambit.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		c := f.Canonical()
		golden(t, "canonical/"+name+".json", string(c)+"\n")
		again, err := Parse("canonical.json", c)
		if err != nil {
			t.Fatalf("the canonical form does not parse: %v", err)
		}
		if d := cmp.Diff(string(c), string(again.Canonical())); d != "" {
			t.Error(d)
		}
		if again.Digest() != f.Digest() {
			t.Error("the digest changed")
		}
		if _, err := Compile(again, testKinds(), noon()); err != nil {
			t.Errorf("the canonical form does not compile: %v", err)
		}
	}
}

// TestDigestIgnoresLayout: comments, quotes and the order of keys do not count;
// one letter that does, does.
func TestDigestIgnoresLayout(t *testing.T) {
	digest := func(src string) string {
		f, err := Parse("x", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		return f.Digest().String()
	}
	a := digest("agent: a\nread:\n  - files: .\nexpires: 60m\n")
	if b := digest("# hello\nread: [{\"files\": '.'}]\nagent: \"a\"\n"); a != b {
		t.Error("layout changed the digest")
	}
	if b := digest("agent: a\nread:\n  - files: src\n"); a == b {
		t.Error("another pattern has the same digest")
	}
}

func TestExplain(t *testing.T) {
	g := mustLoad(t, validFiles(t)["full"])
	var b strings.Builder
	for _, text := range []string{
		"http DELETE https://api.github.com/repos/acme/web",
		"http DELETE https://api.github.com/repos/acme/other",
		"http GET https://api.github.com/repos/acme/web",
		"http POST https://shop.internal:8443/v1/admin/users",
		"http DELETE https://shop.internal:8443/v1/carts/9",
		"http GET https://evil.example/collect?q=1",
		"http POST https://evil.example/collect",
		"github pulls.create acme/web",
		"files write .git/hooks/pre-commit",
		"files read secrets/prod.txt",
		"files read .env",
		"files write docs/a/b.md",
		"tcp connect queue.internal:5672",
		"tcp connect db.internal:5432",
	} {
		es, err := g.ExplainText(text, Facts{Now: noon(), Assume: false, Limits: unused{}})
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("> " + text + "\n")
		for _, e := range es {
			b.WriteString(e.String())
		}
		b.WriteString("\n")
	}
	golden(t, "explain.txt", b.String())
}

// unused is limits of which nothing is used up.
type unused struct{}

func (unused) Exhausted(int) bool { return false }
