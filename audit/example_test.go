package audit

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// exampleLog writes the log of docs/log-format.md.
func exampleLog(t *testing.T) files {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	l := newLog(t, dir, exampleKey(t), Options{Segment: MinSegment, Now: func() time.Time { now = now.Add(time.Second); return now }})
	for _, r := range []Record{
		{Type: Intent, Agent: "a", Operation: "http.get", Effect: "read", Kind: "http", Resource: "example.org/x", Verdict: "allow"},
		{Type: Outcome, Intent: 1, Outcome: "performed"},
	} {
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return load(t, dir)
}

// exampleText is the worked example as the page prints it.
func exampleText(t *testing.T) string {
	f := exampleLog(t)
	seg := f["000001.seg"]
	var s strings.Builder
	fmt.Fprintf(&s, "public key  %s\n", examplePublic)
	frames := framesOf(seg)
	var leaves []tlog.Hash
	for _, fr := range frames {
		p := seg[fr.off+frameHeader : fr.end]
		if fr.kind != kindRecord {
			continue
		}
		leaves = append(leaves, tlog.RecordHash(p))
		fmt.Fprintf(&s, "\nrecord      %s\nleaf hash   %x\n", p, leaves[len(leaves)-1][:])
	}
	root := tlog.NodeHash(leaves[0], leaves[1])
	fmt.Fprintf(&s, "\nroot of two %x\n\nthe file checkpoint\n\n%s\n000001.seg, %d bytes; zeros follow the last shown\n\n", root[:], f[checkpointFile], len(seg))
	s.WriteString(hex.Dump(seg[:frames[len(frames)-1].end]))
	return s.String()
}

func TestWorkedExampleInTheDocumentation(t *testing.T) {
	b, err := os.ReadFile("../docs/log-format.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := exampleText(t); !strings.Contains(string(b), "```text\n"+want+"```\n") {
		t.Errorf("docs/log-format.md does not hold this example:\n%s", want)
	}
}
