package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/audit"
	"ambit/console"
	"ambit/daemon/wire"
)

// A database that is gone for good: a person writes the lease off, which stands in the
// log and in the list as what it is, also after a restart; and the daemon can leave.
func TestALeaseIsWrittenOff(t *testing.T) {
	s := newShop(t)
	h := newHome(t)
	x := start(t, h)
	a := x.clerk(s.pg)
	secret := string(mint(t, a))
	role, _, _ := strings.Cut(secret, "\n")
	lease := strings.TrimPrefix(role, "ambit_")
	off := func(id, because string) (console.Lease, error) {
		return x.desk().WriteOff(t.Context(), console.WriteOff{Lease: id, Because: because})
	}
	refused := func(id, because, says string) {
		t.Helper()
		if _, err := off(id, because); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want it refused with %q", err, says)
		}
		if n := len(records(t, x, audit.WrittenOff)); n > 0 {
			t.Errorf("%d records of it", n)
		}
	}
	refused(lease, "gone", "ambit revoke")
	refused(strings.Repeat("0", 32), "gone", "there is none of that id")
	s.pg.Stop()
	if err := a.End(t.Context(), wire.End{}); err != nil {
		t.Errorf("End: %v", err)
	}
	x.end()
	x = start(t, h)
	eventually(t, "it is tried", func() bool {
		seen, err := x.desk().Leases(t.Context(), false)
		return err == nil && len(seen) == 1 && seen[0].Tries > 0
	})
	refused(lease, " \n", "--because")
	refused(lease, strings.Repeat("ü", maxBecause+1), "301 characters")
	got, err := off(lease, "the database was deleted\x1b[2J")
	if err != nil {
		t.Fatal(err)
	}
	writtenOff(t, x, s, got, role)
	x.end()
	settings := filepath.Join(h.Dir, "settings.yaml")
	if err := os.WriteFile(settings, []byte("idle: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x = start(t, h)
	writtenOff(t, x, s, got, role)
	if _, err := off(lease, "once more"); err == nil || !strings.Contains(err.Error(), "has done so already") {
		t.Errorf("a second time: %v", err)
	}
	if n := len(records(t, x, audit.WrittenOff)); n != 1 {
		t.Errorf("%d records of it, want one", n)
	}
	x.sealed(s, []byte(secret))
	eventually(t, "the daemon leaves", func() bool { return len(x.done) == 1 })
}

// writtenOff looks at a lease that was written off where people see it.
func writtenOff(t *testing.T, x *house, s shop, got console.Lease, role string) {
	t.Helper()
	if got.State != "written-off" || got.By == "" || !strings.HasPrefix(got.Because, "the database was deleted") || strings.Contains(got.Because, "\x1b") ||
		!strings.Contains(got.Remains, role+" of database shop at 127.0.0.1:") || got.Ended.IsZero() || got.Agent != "clerk" {
		t.Errorf("it is %+v", got)
	}
	if seen, err := x.desk().Leases(t.Context(), false); err != nil || len(seen) > 0 {
		t.Errorf("leases are %+v, %v", seen, err)
	}
	all, err := x.desk().Leases(t.Context(), true)
	if err != nil || len(all) != 1 || all[0] != got {
		t.Errorf("all leases are %+v, %v, want %+v", all, err, got)
	}
	recs := records(t, x, audit.WrittenOff)
	if len(recs) != 1 || !strings.HasPrefix(recs[0].Detail, "by "+got.By+": the database was deleted") || !strings.Contains(recs[0].Detail, role) ||
		!strings.Contains(string(recs[0].Data), `"failed_attempts":`) || strings.Contains(string(recs[0].Data), s.pg.Password.Value) {
		t.Errorf("records: %+v", recs)
	}
	for _, r := range records(t, x, audit.Lease) {
		if r.Detail == "dead" {
			t.Errorf("the log says that it is dead: %s", r.Data)
		}
	}
}
