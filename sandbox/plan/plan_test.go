package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func full() *Plan {
	return &Plan{
		Hostname: "h", Steps: []Step{{Op: Bind, Target: "/a b", Source: "/ü", Data: "x\x00y", Flags: 1 << 63, Dev: 300, Ino: 1 << 40}, {Op: Mask}},
		Handled: 0xffff, Scoped: 3, Rules: []Rule{{"/", 8}, {"", 0}}, StdRights: [3]uint64{1, 2, 3},
		Ports: []uint16{80, 65535}, Resolver: true, Socket: "/s", Terminal: true, Rows: 24, Cols: 500,
		Limits: []Limit{{Resource: 7, Soft: 1, Hard: ^uint64(0)}}, InitFilter: "i", AgentFilter: "a",
		Guards: []Guard{{Root: "/w", Names: []string{".envrc"}, Paths: []string{".git/hooks", ""}, Allowed: []string{}, Mounts: []string{"x"}}},
		Argv:   []string{"true", ""}, Env: []string{"A=b"}, Dir: "/d", Probe: true,
	}
}

func TestEncodedPlanReadsBack(t *testing.T) {
	for name, p := range map[string]*Plan{"full": full(), "empty": {Steps: []Step{}, Rules: []Rule{}, Ports: []uint16{}, Limits: []Limit{}, Guards: []Guard{}, Argv: []string{}, Env: []string{}}} {
		got, ok := Decode(p.Encode())
		if !ok {
			t.Errorf("%s: refused", name)
			continue
		}
		if d := cmp.Diff(p, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestDamagedPlansAreRefused(t *testing.T) {
	whole := full().Encode()
	for n := range whole {
		if _, ok := Decode(whole[:n]); ok {
			t.Errorf("the first %d bytes of %d were taken", n, len(whole))
		}
	}
	if _, ok := Decode(append(whole, 0)); ok {
		t.Error("a plan with something behind it was taken")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().Encode())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := Decode(b)
		if !ok {
			return
		}
		again, ok := Decode(p.Encode())
		if !ok {
			t.Fatal("what was read cannot be read again")
		}
		if d := cmp.Diff(p, again); d != "" {
			t.Error(d)
		}
	})
}

func TestHeads(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 1 << 24, MaxPlan} {
		if k, got := Unhead(Head(Ready, n)); k != Ready || got != n {
			t.Errorf("%d: %d %d", n, k, got)
		}
	}
}
