package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit/pgwire"
	"ambit/store/row"
)

// impostor answers in a database's place: it lets everybody in but the roles of leases,
// and has nothing. The zero value is one that works.
type impostor struct {
	lease  []pgproto3.BackendMessage     // what the role of a lease is told, before the end
	answer func(sql string) (reply bool) // nil replies always
}

func (i *impostor) dial(context.Context, string, string) (net.Conn, error) {
	c, s := net.Pipe()
	go i.serve(s)
	return c, nil
}

func (i *impostor) serve(c net.Conn) {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	start, ok := m.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	send := func(ms ...pgproto3.BackendMessage) bool {
		for _, m := range ms {
			b.Send(m)
		}
		return b.Flush() == nil
	}
	if strings.HasPrefix(start.Parameters["user"], "ambit_") {
		send(i.lease...)
		return
	}
	status := byte('I')
	if !send(&pgproto3.AuthenticationOk{}, &pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: status}) {
		return
	}
	for {
		m, err := b.Receive()
		q, ok := m.(*pgproto3.Query)
		if err != nil || !ok {
			return
		}
		switch {
		case strings.HasSuffix(q.String, "COMMIT"), q.String == "ROLLBACK":
			status = 'I'
		case strings.HasPrefix(q.String, "BEGIN"):
			status = 'T'
		}
		if i.answer != nil && !i.answer(q.String) {
			continue
		}
		if !send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")}, &pgproto3.ReadyForQuery{TxStatus: status}) {
			return
		}
	}
}

// provider is one whose database is the impostor.
func (i *impostor) provider(t *testing.T, servers *Servers, admin string) *Provider {
	t.Helper()
	p, err := servers.Provider(Config{Admin: []byte(admin), Rights: []Right{readOrders}})
	if err != nil {
		t.Fatal(err)
	}
	p.server.dial = i.dial
	return p
}

func failed(code string) pgproto3.BackendMessage {
	return &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "no"}
}

// Whoever answers in the place of the database, while it is down or on the way to it, asks
// for no password and says that the role of a lease is gone. It is not believed: the lease
// lives, and would be taken for dead.
func TestImpostorEndsNoLease(t *testing.T) {
	l := row.Lease{ID: strings.Repeat("a", 32), Handle: "16999"}
	for admin, believed := range map[string]bool{"postgres://chief:s3cr3t@127.0.0.1/shop": false, "postgres://chief@127.0.0.1/shop": true} {
		i := &impostor{lease: []pgproto3.BackendMessage{failed("28P01")}}
		p := i.provider(t, &Servers{}, admin)
		defer p.Close()
		revoked := p.Revoke(t.Context(), l)
		_, proved := p.Prove(t.Context(), l)
		for _, err := range []error{revoked, proved} {
			switch {
			case believed && err != nil: // the person wrote no password
				t.Errorf("%s: %v", admin, err)
			case !believed && (!errors.Is(err, pgwire.ErrUnproved) || !strings.Contains(err.Error(), "leave the password out") || strings.Contains(err.Error(), "s3cr3t")):
				t.Errorf("%s: %v", admin, err)
			}
		}
	}
}

// What the database says to somebody who logs in as a role that is not in the catalog, and
// whether it proves that nobody can.
func TestWhatProvesThatNobodyLogsIn(t *testing.T) {
	ok := &pgproto3.AuthenticationOk{}
	for name, x := range map[string]struct {
		said   []pgproto3.BackendMessage
		usable bool
		want   string // of the error; "" for none
	}{
		"a wrong password":            {[]pgproto3.BackendMessage{failed("28P01")}, false, ""},
		"no line of pg_hba.conf":      {[]pgproto3.BackendMessage{failed("28000")}, false, ""},
		"trusted, and not there":      {[]pgproto3.BackendMessage{ok, failed("28000")}, false, ""},
		"trusted, and there":          {[]pgproto3.BackendMessage{ok, &pgproto3.ReadyForQuery{TxStatus: 'I'}}, true, ""},
		"asked in the clear":          {[]pgproto3.BackendMessage{&pgproto3.AuthenticationCleartextPassword{}}, false, ""},
		"asked as MD5":                {[]pgproto3.BackendMessage{&pgproto3.AuthenticationMD5Password{}}, false, ""},
		"asked by OAuth":              {[]pgproto3.BackendMessage{&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"OAUTHBEARER"}}}, false, ""},
		"too many connections":        {[]pgproto3.BackendMessage{failed("53300")}, false, "SQLSTATE 53300"},
		"too many of the role":        {[]pgproto3.BackendMessage{ok, failed("53300")}, false, "SQLSTATE 53300"},
		"it starts":                   {[]pgproto3.BackendMessage{failed("57P03")}, false, "SQLSTATE 57P03"},
		"it stops":                    {[]pgproto3.BackendMessage{failed("57P01")}, false, "SQLSTATE 57P01"},
		"no such database":            {[]pgproto3.BackendMessage{ok, failed("3D000")}, false, "SQLSTATE 3D000"},
		"no right to connect":         {[]pgproto3.BackendMessage{ok, failed("42501")}, false, "SQLSTATE 42501"},
		"a proxy without a database":  {[]pgproto3.BackendMessage{failed("08P01")}, false, "SQLSTATE 08P01"},
		"it hangs up":                 {nil, false, "ended the connection"},
		"it hangs up after a welcome": {[]pgproto3.BackendMessage{ok}, false, "ended the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			i := &impostor{lease: x.said}
			p := i.provider(t, &Servers{}, "postgres://chief@127.0.0.1/shop")
			defer p.Close()
			usable, err := p.Prove(t.Context(), row.Lease{ID: strings.Repeat("a", 32), Handle: "16999"})
			if usable != x.usable || (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, %v; want %v, %q", usable, err, x.usable, x.want)
			}
		})
	}
}

// Whoever stopped waiting is not held up by what is to be undone, when the server says
// nothing more: the connection is closed, and nobody goes on with it.
func TestUndoneWithoutAWait(t *testing.T) {
	for name, x := range map[string]struct {
		silent string // at which the server falls silent, and nobody waits any more
		do     func(ctx context.Context, s *session, stop func()) error
	}{
		"a transaction": {"ROLLBACK", func(ctx context.Context, s *session, _ func()) error {
			return s.in(ctx, "SELECT 1", func() error { return errors.New("it failed") })
		}},
		"one that nobody waited for before": {"ROLLBACK", func(ctx context.Context, s *session, stop func()) error {
			return s.in(ctx, "SELECT 1", func() error { stop(); return ctx.Err() })
		}},
		"a role": {"RESET ROLE", func(ctx context.Context, s *session, _ func()) error { return s.as(ctx, "another", "SELECT 1") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				i := &impostor{answer: func(sql string) bool {
					if sql == x.silent {
						stop()
					}
					return sql != x.silent
				}}
				c, err := login{user: "chief"}.connect(ctx, i.dial)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := x.do(ctx, &session{c}, stop); err == nil {
					t.Error("it went well")
				}
				if waited := time.Since(began); waited > time.Minute || !c.Closed() {
					t.Errorf("it waited %v; closed: %v", waited, c.Closed())
				}
				c.Close()
				time.Sleep(time.Hour) // what stops the server ends
			})
		})
	}
}

// A database that was used for a moment while it was tidied up is forgotten once: what has
// taken its place since stays.
func TestForgottenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers, dialled := &Servers{}, &atomic.Int32{}
		provider := func() *Provider {
			p, err := servers.Provider(Config{Admin: []byte("postgres://chief:s3cr3t@127.0.0.1/shop"), Rights: []Right{readOrders}})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		first := provider()
		first.server.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialled.Add(1)
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
			return nil, errors.New("it is down")
		}
		first.Close()
		time.Sleep(lingerTime + time.Second) // it is being tidied up
		second := provider()
		if second.server != first.server {
			t.Fatal("there are two servers of one login")
		}
		second.Close()
		time.Sleep(9 * time.Second) // it is forgotten
		third := provider()
		if third.server == first.server {
			t.Fatal("it is not forgotten")
		}
		time.Sleep(2 * lingerTime)
		if fourth := provider(); fourth.server != third.server {
			t.Error("what is used was forgotten with what was there before")
		}
		if n := dialled.Load(); n != 1 {
			t.Errorf("with a password that was wiped it was dialled %d times", n-1)
		}
	})
}
