package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestStageIsInitialisedEarly looks at the order in which the packages of the built
// program are initialised: a sandbox starts when the stage's turn comes, so nothing
// large may come before it.
func TestStageIsInitialisedEarly(t *testing.T) {
	c := ambittest.NewHome(t, os.Getuid()).Ambit("version")
	c.Env = append(c.Env, "GODEBUG=inittrace=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var order []string
	for line := range strings.Lines(string(out)) { // init PACKAGE @MOMENT ms, …
		if w := strings.Fields(line); len(w) > 2 && w[0] == "init" && w[2][0] == '@' {
			order = append(order, w[1])
		}
	}
	stage := slices.Index(order, "ambit/sandbox/stage")
	if stage < 0 {
		t.Fatalf("the stage is not in the order %s", order)
	}
	for _, late := range []string{"os", "unicode", "reflect", "golang.org/x/sys/unix", "crypto/sha256", "regexp", "ambit", "net", "net/http"} {
		at := slices.Index(order, late)
		if at < 0 {
			t.Errorf("%s is not in the order %s: compare the stage with another package", late, order)
		} else if at < stage {
			t.Errorf("%s is at place %d of the order and the stage at %d: some import makes the stage wait, see go list -deps ./sandbox/stage", late, at+1, stage+1)
		}
	}
}
