package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"ambit/internal/ambittest"
)

// TestQuickstart runs what a newcomer runs first, with the binary of this test.
func TestQuickstart(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		top, err := filepath.Abs("../..")
		if err != nil {
			t.Fatal(err)
		}
		// The sources may be open to their owner only: the script gets a copy of
		// its folder, and what it would build.
		ambittest.Output(t, top, "cp", "-r", "--parents", "examples/quickstart", h.Dir)
		api := filepath.Join(h.Dir, "api")
		ambittest.GoBuild(t, api, "ambit/examples/quickstart/api")
		h.Own(t)
		c := h.Command("bash", filepath.Join(h.Dir, "examples/quickstart/run.sh"))
		c.Env = append(c.Env, "AMBIT="+os.Getenv("AMBIT_TEST_BINARY"), "API="+api)
		r := ambittest.Finish(t, c)
		t.Log(r.Stdout)
		want(t, r, 0)
		has(t, "the script's output", r.Stdout, "Every expectation held.")
	})
}
