package ambittest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Canary is a secret that must not be seen in a place. Its value is random,
// so that finding it proves where it came from.
type Canary struct {
	Name  string
	Value string // 40 letters and digits
}

// NewCanary makes a secret of its own.
func NewCanary(name string) Canary {
	return Canary{Name: name, Value: "cn" + rand.Text() + rand.Text()[:12]}
}

// form is one way in which the secret could hide.
type form struct {
	name string
	text []byte
}

func (c Canary) forms() []form {
	v := []byte(c.Value)
	half := len(v) / 2
	back := slices.Clone(v)
	slices.Reverse(back)
	f := []form{
		{"plain", v},
		{"hex", []byte(hex.EncodeToString(v))},
		{"upper-case hex", bytes.ToUpper([]byte(hex.EncodeToString(v)))},
		{"percent", percent(v)},
		{"first half", v[:half]},
		{"second half", v[half:]},
		{"reversed first half", back[half:]},
		{"reversed second half", back[:half]},
	}
	// Base64 of a longer text holds the secret at one of three alignments.
	for shift := range 3 {
		padded := append(bytes.Repeat([]byte{'x'}, shift), v...)
		enc := base64.StdEncoding.EncodeToString(padded)
		from := (shift*8 + 5) / 6
		to := len(padded) * 8 / 6
		f = append(f, form{fmt.Sprintf("base64 at %d", shift), []byte(enc[from:to])})
	}
	return f
}

func percent(v []byte) []byte {
	var b bytes.Buffer
	for _, x := range v {
		fmt.Fprintf(&b, "%%%02X", x)
	}
	return b.Bytes()
}

// In says in which form the secret is in b, or "" when it is not.
func (c Canary) In(b []byte) string {
	for _, f := range c.forms() {
		if bytes.Contains(b, f.text) {
			return f.name
		}
	}
	return ""
}

// FindInTree searches the files below root and returns "path: name, form" for
// each secret found. A file that cannot be read is an error: it could hold
// anything. One that vanishes during the search holds nothing.
func FindInTree(root string, cs ...Canary) (found []string, err error) {
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p != root {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, c := range cs {
			if form := c.In(b); form != "" {
				found = append(found, fmt.Sprintf("%s: %s, %s", p, c.Name, form))
			}
		}
		return nil
	})
	return found, err
}

// FindInProcess searches a process's environment, command line and, where the
// caller may read it, writable memory.
func FindInProcess(pid int, cs ...Canary) (found []string) {
	dir := fmt.Sprintf("/proc/%d", pid)
	look := func(where string, b []byte) {
		for _, c := range cs {
			if form := c.In(b); form != "" {
				found = append(found, fmt.Sprintf("%s/%s: %s, %s", dir, where, c.Name, form))
			}
		}
	}
	for _, f := range []string{"environ", "cmdline"} {
		b, _ := os.ReadFile(filepath.Join(dir, f)) // gone: then there is nothing to find
		look(f, b)
	}
	mem, err := os.Open(filepath.Join(dir, "mem"))
	if err != nil {
		return found
	}
	defer mem.Close()
	maps, _ := os.ReadFile(filepath.Join(dir, "maps"))
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var perm string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perm); err != nil || !strings.HasPrefix(perm, "rw") || to-from > 256<<20 {
			continue
		}
		b, _ := io.ReadAll(io.NewSectionReader(mem, int64(from), int64(to-from)))
		look("mem", b)
	}
	return found
}
