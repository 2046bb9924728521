package gatetest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A small honest gate passes.
func TestHonestGatePasses(t *testing.T) {
	Run(t, Harness{Start: startToy("")})
}

const faultVar = "AMBIT_TEST_GATE_FAULT"

// Each faulty gate fails, in the part that is about its fault.
func TestFaultyGatesFail(t *testing.T) {
	if fault := os.Getenv(faultVar); fault != "" {
		Run(t, Harness{Start: startToy(fault)})
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for fault, part := range map[string]string{
		"performs first":         "denied",
		"performs anyway":        "a_stage_fails",
		"needs no permit":        "the_pipeline_lies",
		"always happy":           "denied",
		"no record":              "denied",
		"reflects":               "benign",
		"tells the log":          "benign",
		"tells an alert":         "benign",
		"forgets the credential": "benign",
		"calls all reads":        "benign",
		"binds nothing":          "approval",
		"binds the time":         "approval",
		"deaf":                   "the_agent_hangs_up",
		"ignores revocation":     "revoked",
		"lives on":               "revoked",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, exe, "-test.run", "^TestFaultyGatesFail$/^"+part+"$", "-test.v", "-test.failfast")
			cmd.Env = append(os.Environ(), faultVar+"="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestFaultyGatesFail/"+part+" ") {
				t.Errorf("the battery lets it pass: %v\n%s", err, out)
			}
		})
	}
}
