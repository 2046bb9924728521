package sql

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/pgwire"
)

// Codes that stand where a startup message has its version (PostgreSQL 17, section
// 53.7). Versions of another major number are not spoken.
const (
	codeSSL    = 80877103
	codeGSS    = 80877104
	codeCancel = 80877102
	version30  = 3 << 16

	maxStartup  = 10_000 // bytes, as the server has it
	maxRequests = 3      // of encryption, before the startup message
)

// agent is the connection of an agent, on its way to a session.
type agent struct {
	g       *Gate
	conn    net.Conn
	r       *bufio.Reader
	at      place
	literal bool // an address was dialled, not a name
	db      *Database
	secure  bool
}

// startup is what an agent asked for.
type startup struct {
	user     string
	settings map[string]string // that are passed on
}

// serveConn takes one connection of the agent.
func (g *Gate) serveConn(ctx context.Context, cancel context.CancelFunc, c net.Conn) {
	a, ok := g.locate(c)
	if !ok {
		return
	}
	c.SetDeadline(time.Now().Add(g.c.Limits.Handshake))
	body, err := a.begin(ctx)
	if err != nil {
		a.refuseStart(ctx, err)
		return
	}
	switch code := binary.BigEndian.Uint32(body); {
	case code == codeCancel:
		g.cancelRequest(ctx, a, body)
	case code>>16 != version30>>16:
		a.refuseStart(ctx, &refusal{code: CodeProtocol, state: stateProtocol, why: "only version 3 of the protocol is spoken"})
	default:
		st, bad := a.read(body)
		if bad != nil {
			a.refuseStart(ctx, bad)
			return
		}
		c.SetDeadline(time.Time{})
		g.serveSession(ctx, cancel, a, st)
	}
}

// locate finds what a connection wants to reach.
func (g *Gate) locate(c net.Conn) (*agent, bool) {
	t, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return nil, false
	}
	ap := t.AddrPort()
	addr := ap.Addr().Unmap().WithZone("")
	a := &agent{g: g, conn: c, r: bufio.NewReaderSize(c, sqlBuffer), at: place{port: ap.Port()}}
	if a.at.host, ok = g.c.Names.Lookup(addr); !ok {
		a.at.host, a.literal = addr.String(), true
	}
	a.db = g.at[a.at]
	return a, true
}

// begin answers requests for encryption and returns the startup message that
// follows, from its version on.
func (a *agent) begin(ctx context.Context) ([]byte, error) {
	if b, err := a.r.Peek(1); err == nil && b[0] == 22 { // TLS at once (PostgreSQL 17's sslnegotiation=direct)
		if err := a.startTLS(ctx, true); err != nil {
			return nil, err
		}
	}
	for range maxRequests {
		body, err := a.packet()
		if err != nil {
			return nil, err
		}
		answer := byte(0)
		switch binary.BigEndian.Uint32(body) {
		case codeSSL:
			answer = 'S'
		case codeGSS:
			answer = 'N'
		default:
			return body, nil
		}
		if len(body) != 4 || a.secure {
			return nil, badProtocol("a request for encryption is not in order")
		}
		// Bytes sent before the handshake would be read as if they had been
		// encrypted, whoever put them there (CVE-2021-23222).
		if a.r.Buffered() > 0 {
			return nil, badProtocol("something follows the request for encryption before it was answered")
		}
		if _, err := a.conn.Write([]byte{answer}); err != nil {
			return nil, err
		}
		if answer == 'S' {
			if err := a.startTLS(ctx, false); err != nil {
				return nil, err
			}
		}
	}
	return nil, badProtocol("encryption is asked for again and again")
}

// packet reads a message without a type.
func (a *agent) packet() ([]byte, error) {
	var h [4]byte
	if _, err := io.ReadFull(a.r, h[:]); err != nil {
		return nil, err
	}
	n := int64(int32(binary.BigEndian.Uint32(h[:]))) - 4
	if n < 4 || n > maxStartup {
		return nil, badProtocol("the startup message has no possible length")
	}
	return pgwire.ReadBody(a.r, int(n))
}

// echExtension is encrypted_client_hello (RFC 9849): the name inside could be
// another one than the name outside.
const echExtension = 0xfe0d

// startTLS ends TLS with the task's authority.
func (a *agent) startTLS(ctx context.Context, direct bool) error {
	var bad *refusal
	t := tls.Server(&replayed{a.conn, a.r}, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"postgresql"},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if bad = a.checkHello(h, direct); bad != nil {
				return nil, bad
			}
			return nil, nil
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.g.c.Certificate(a.at.host) },
	})
	ctx, cancel := context.WithTimeout(ctx, a.g.c.Limits.Handshake)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		if bad != nil {
			return bad
		}
		return err // the agent hung up, or does not trust the authority
	}
	a.conn, a.r, a.secure = t, bufio.NewReaderSize(t, sqlBuffer), true
	return nil
}

// checkHello compares the name in a ClientHello with the one that was looked up.
func (a *agent) checkHello(h *tls.ClientHelloInfo, direct bool) *refusal {
	sni := strings.ToLower(h.ServerName)
	for _, x := range h.Extensions {
		if x == echExtension {
			return &refusal{code: CodeNames, state: stateRefused, why: "the TLS client hello is encrypted, so that the name cannot be compared", alert: AlertFronting}
		}
	}
	switch {
	case sni != "" && sni != a.at.host:
		return &refusal{code: CodeNames, state: stateRefused, why: "TLS names another host than the one that was looked up", alert: AlertFronting}
	case direct && len(h.SupportedProtos) == 0:
		return badProtocol("TLS begins at once without naming the protocol")
	}
	return nil
}

// replayed is a connection whose first bytes were read already.
type replayed struct {
	net.Conn
	r *bufio.Reader
}

// Read returns what was read before, and then what comes.
func (p *replayed) Read(b []byte) (int, error) { return p.r.Read(b) }

// passedOn are the settings that a client may send at the start: those that say how
// values are written, and a name for itself. What it sends as options could set
// anything, also what the gate and the role's limits rest on.
func passedOn(name string) bool {
	switch strings.ToLower(name) {
	case "application_name", "datestyle", "timezone", "intervalstyle", "extra_float_digits", "bytea_output", "client_min_messages":
		return true
	}
	return false
}

// read takes a startup message apart.
func (a *agent) read(body []byte) (st startup, bad *refusal) {
	minor := binary.BigEndian.Uint32(body) & 0xffff
	pairs := bytes.Split(body[4:], []byte{0})
	if n := len(pairs); n < 2 || n%2 != 0 || len(pairs[n-1]) != 0 || len(pairs[n-2]) != 0 {
		return st, badProtocol("the startup message is not a list of names and values")
	}
	st.settings = map[string]string{}
	database, seen, unknown := "", map[string]bool{}, []string(nil)
	for i := 0; i+2 < len(pairs); i += 2 {
		k, v := string(pairs[i]), string(pairs[i+1])
		if seen[strings.ToLower(k)] || k == "" {
			return st, badProtocol("a name stands twice in the startup message")
		}
		seen[strings.ToLower(k)] = true
		switch {
		case k == "user":
			st.user = v
		case k == "database":
			database = v
		case strings.HasPrefix(k, "_pq_."):
			unknown = append(unknown, k)
		case strings.EqualFold(k, "client_encoding"):
			if !isUTF8(v) {
				return st, &refusal{code: CodeSetting, state: "22023", why: "the encoding is UTF8 here", instead: "Set client_encoding (PGCLIENTENCODING) to UTF8, or leave it out."}
			}
		case passedOn(k):
			st.settings[k] = v
		case k == "options" && strings.TrimSpace(v) == "", k == "replication" && (v == "false" || v == "off" || v == "no" || v == "0"):
		default:
			return st, &refusal{code: CodeSetting, state: stateRefused, why: "the setting " + printable(k, 64) + " is not passed on at the start of a connection",
				instead: "Leave it out of the connection (options, PGOPTIONS); what the grants give, a SET statement can do."}
		}
	}
	if a.db != nil && database != "" && database != a.db.Name && database != st.user {
		return st, &refusal{code: CodeDatabase, state: "3D000", why: "there is no database " + printable(database, 64) + " behind this name", instead: "Connect to the database " + a.db.Name + "."}
	}
	if minor > 0 || len(unknown) > 0 {
		m := &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: version30, UnrecognizedOptions: unknown}
		if b, err := m.Encode(nil); err != nil {
			return st, badProtocol("the startup message has options that cannot be answered")
		} else if _, err := a.conn.Write(b); err != nil {
			return st, badProtocol("the connection ended")
		}
	}
	return st, nil
}

// isUTF8 says whether a client that names the encoding writes and reads UTF-8;
// SQL_ASCII means that nothing is converted, and the database's own is UTF-8.
func isUTF8(s string) bool {
	switch strings.ToLower(strings.NewReplacer("-", "", "_", "", "'", "", `"`, "").Replace(s)) {
	case "utf8", "unicode", "sqlascii":
		return true
	}
	return false
}

// connAction is the action of the whole connection.
func (a *agent) connAction() ambit.Action {
	x := a.g.action("sql.connect", ambit.Read, ambit.Resource{Kind: "tcp", Segments: []string{a.at.String()}})
	if a.db != nil {
		x.Service, x.Resource = a.db.Service, ambit.Resource{Kind: "database", Segments: []string{a.db.Name}}
	}
	return x
}

func (g *Gate) action(op string, e ambit.Effect, r ambit.Resource) ambit.Action {
	return ambit.Action{Task: g.c.Task.ID, Agent: g.c.Task.Agent, Operation: op, Effect: e, Resource: r}
}

// refuseStart tells an agent that has no session yet why, records it, and closes.
func (a *agent) refuseStart(ctx context.Context, err error) {
	bad, ok := errors.AsType[*refusal](err)
	if !ok {
		return // it hung up, or the network failed
	}
	m := a.g.refuse(ctx, a.connAction(), bad)
	m.Severity, m.SeverityUnlocalized = "FATAL", "FATAL"
	if b, err := m.Encode(nil); err == nil {
		a.conn.SetWriteDeadline(time.Now().Add(time.Second))
		a.conn.Write(b)
	}
}

// cancelKey is what a CancelRequest names a connection by; the gate makes it up.
type cancelKey struct{ pid, key uint32 }

func newCancelKey() cancelKey {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return cancelKey{binary.BigEndian.Uint32(b[:]) &^ (1 << 31), binary.BigEndian.Uint32(b[4:])}
}
