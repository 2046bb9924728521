package sql

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestCopyInByTheExtendedProtocol: the database swallows the Sync that comes with the
// Execute of a COPY, and says that the rows are in only when it is told to; the agent
// hears it nonetheless, and its session goes on.
func TestCopyInByTheExtendedProtocol(t *testing.T) {
	s := newTallies(t)
	begin := []pgproto3.FrontendMessage{parseOf("", "COPY heap FROM STDIN"), &pgproto3.Bind{}, executeOf("")}
	end := []pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte("7\n8\n")}, &pgproto3.CopyDone{}, &pgproto3.Sync{}}
	bad := []pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte("x\n")}, &pgproto3.CopyDone{}, &pgproto3.Sync{}}
	none := []pgproto3.FrontendMessage{&pgproto3.CopyFail{Message: "no"}, &pgproto3.Sync{}}
	sync := []pgproto3.FrontendMessage{&pgproto3.Sync{}}
	all := func(parts ...[]pgproto3.FrontendMessage) (out []pgproto3.FrontendMessage) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	w := s.raw()
	w.plays(t,
		says("12CZI", all(begin, end)...),
		says("12CZI", all(begin, sync, end)...), // as libpq sends it
		says("12EZI 22P02", all(begin, sync, bad)...),
		says("12EZI 57014", all(begin, none)...),
		says("TDCZI", queryOf("SELECT count(*) FROM heap")))
	if got := s.pg.Query(t, "shop", "SELECT count(*), sum(n) FROM heap"); !strings.Contains(got, "4") || !strings.Contains(got, "30") {
		t.Errorf("the rows and their sum are %q, want 4 and 30", got)
	}
}
