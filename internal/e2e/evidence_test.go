package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestLogTellsWhatHappened reads the log of a task with one of each: allowed,
// refused, and what never had a service.
func TestLogTellsWhatHappened(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		api, grants := shop(t)
		h := ambittest.NewHome(t, uid)
		h.Grants(t, grants)
		c := h.Ambit("run", "--", "sh", "-c", `
curl -sS https://api.example.org/items/one
curl -sS -X PUT -d x https://api.example.org/items/one
curl -sS https://attacker.example.org/
exit 4`)
		c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
		r := ambittest.Finish(t, c)
		want(t, r, 4)
		has(t, "the refusal", r.Stdout, `"refused":`, `"why":`, `"record":"r`)
		all := logged(t, h, "")
		for _, e := range all {
			if e.Time == "" || e.Agent != "tester" && e.Agent != "" {
				t.Errorf("an entry without time or of another agent: %+v", e)
			}
		}
		gets, puts := logged(t, h, "http.get"), logged(t, h, "http.put")
		if len(gets) != 1 || gets[0].Verdict != "allow" || gets[0].Outcome != "performed" || gets[0].Effect != "read" ||
			!strings.Contains(gets[0].DecidedBy, "ambit.yaml:") || !strings.Contains(string(gets[0].Resource), "api.example.org/items/one") {
			t.Errorf("the read is in the log as %+v", gets)
		}
		if len(puts) != 1 || puts[0].Verdict != "deny" || puts[0].Outcome != "refused" || puts[0].Effect != "write" {
			t.Errorf("the refused write is in the log as %+v", puts)
		}
		if len(logged(t, h, "task.start")) != 1 || len(logged(t, h, "task.end")) != 1 {
			t.Errorf("start and end are not in the log once each: %+v", all)
		}
		verified(t, h, api.Token)
	})
}

// TestVerifyFindsTampering verifies a copied folder with the public key alone,
// and finds a changed byte, a cut and a swap of two files.
func TestVerifyFindsTampering(t *testing.T) {
	h := ambittest.NewHome(t, ambittest.Users()[len(ambittest.Users())-1])
	h.Grants(t, head+files)
	want(t, h.Do(t, "run", "--", "true"), 0)
	want(t, h.Do(t, "run", "--", "true"), 0)
	want(t, h.Do(t, "daemon", "stop"), 0)
	key, err := os.ReadFile(filepath.Join(h.State, "log", "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(b []byte) []byte{
		"untouched": func(b []byte) []byte { return b },
		"one byte":  func(b []byte) []byte { return []byte(strings.Replace(string(b), "tester", "tesser", 1)) },
		"cut":       func(b []byte) []byte { return b[:strings.LastIndex(string(b), "tester")] },
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(ambittest.OpenDir(t), "log")
			ambittest.Output(t, "", "cp", "-r", filepath.Join(h.State, "log"), copied)
			changed := 0
			err := filepath.Walk(copied, func(p string, i os.FileInfo, err error) error {
				if err != nil || !i.Mode().IsRegular() {
					return err
				}
				b, err := os.ReadFile(p)
				if err != nil || !strings.Contains(string(b), "tester") {
					return err
				}
				changed++
				return os.WriteFile(p, harm(b), 0o644)
			})
			if err != nil || changed == 0 {
				t.Fatalf("%d files hold records: %v", changed, err)
			}
			ambittest.Output(t, "", "chmod", "-R", "a+rX", copied)
			r := h.Do(t, "verify", "--key", string(key), copied)
			if name == "untouched" {
				want(t, r, 0)
				return
			}
			want(t, r, 1)
			has(t, "the finding", r.Stderr, " at r")
		})
	}
}

// TestWhoAmI asks inside who the agent is.
func TestWhoAmI(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		r := h.Do(t, "run", "--", "ambit", "whoami")
		want(t, r, 0)
		has(t, "whoami", r.Stdout, "tester", "spiffe://", "/agent/tester/task/", "because the work is done here")
	})
}
