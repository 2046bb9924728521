package sql

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit/pgwire"
)

// A database that goes on and on with an answer to the gate's own question ends it.
func TestAnswersThatDoNotEnd(t *testing.T) {
	types := make([]uint32, 65_535)
	for name, x := range map[string]struct {
		sent pgproto3.BackendMessage
		n    int
		want string
	}{
		"the types of a parameter":          {&pgproto3.ParameterDescription{ParameterOIDs: []uint32{25}}, 1, ""},
		"types without end":                 {&pgproto3.ParameterDescription{ParameterOIDs: types}, 300, "more than an answer may hold"},
		"rows of nothing":                   {&pgproto3.DataRow{Values: make([][]byte, 65_535)}, 300, "more than an answer may hold"},
		"notices without end":               {&pgproto3.NoticeResponse{Message: strings.Repeat("x", 100_000)}, 600, "more than an answer may hold"},
		"as many rows as there are columns": {&pgproto3.DataRow{Values: [][]byte{[]byte(strings.Repeat("x", 63)), []byte("t")}}, 1600, ""},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer near.Close()
			go func() { _, _ = io.Copy(io.Discard, far) }()
			go func() {
				defer far.Close()
				b, err := x.sent.Encode(nil)
				if err != nil {
					t.Error(err)
				}
				for range x.n {
					if _, err := far.Write(b); err != nil {
						return
					}
				}
				_, _ = far.Write([]byte{'Z', 0, 0, 0, 5, 'I'})
			}()
			u := &upstream{pgwire.NewConn(near)}
			got, err := u.ask(&pgproto3.Query{String: "SELECT 1"})
			if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q, of %d types and %d rows", err, x.want, len(got.types), len(got.rows))
			}
		})
	}
}
