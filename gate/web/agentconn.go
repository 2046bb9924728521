package web

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"

	"ambit"
)

// agentConn is a connection of the agent, with where it wanted to go.
type agentConn struct {
	net.Conn
	gate    *Gate
	at      place    // the name looked up, or the literal address, and the port
	literal bool     // the agent used an address, not a name
	routes  []*route // to the place; none is a refusal
	secure  bool     // TLS is spoken
	greeted bool     // a TLS client hello was read
	hello   *refusal // why the TLS handshake was stopped
}

// scheme is what is spoken on the connection.
func (c *agentConn) scheme() string {
	switch {
	case len(c.routes) > 0:
		return c.routes[0].Scheme
	case c.secure:
		return HTTPS
	}
	return HTTP
}

// raw is the connection as it was accepted.
func (c *agentConn) raw() net.Conn {
	inner := c.Conn
	for {
		switch w := inner.(type) {
		case *replayed:
			inner = w.Conn
		case *endConn:
			inner = w.Conn
		default:
			return inner
		}
	}
}

// locate finds what a connection wants to reach.
func (g *Gate) locate(c net.Conn) (*agentConn, bool) {
	t, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return nil, false
	}
	ap := t.AddrPort()
	addr := ap.Addr().Unmap().WithZone("")
	a := &agentConn{Conn: c, gate: g, at: place{port: ap.Port()}}
	if a.at.host, ok = g.c.Names.Lookup(addr); !ok {
		a.at.host, a.literal = addr.String(), true
	}
	a.routes = g.routes.find(a.at)
	return a, true
}

// echExtension is encrypted_client_hello (RFC 9849): the name inside could be
// another one than the name outside.
const echExtension = 0xfe0d

// checkHello compares a ClientHello with the name that was looked up.
func (c *agentConn) checkHello(h *tls.ClientHelloInfo) *refusal {
	sni := strings.ToLower(h.ServerName)
	switch {
	case slices.Contains(h.Extensions, echExtension):
		return &refusal{code: CodeNames, why: "the TLS client hello is encrypted, so that the name cannot be compared", alert: AlertFronting,
			instead: "Turn encrypted client hello off."}
	case c.literal && sni != "" && len(c.routes) > 0:
		return &refusal{code: CodeNames, why: "the connection goes to an address, but TLS names a host", alert: AlertFronting, detail: "sni " + printable(sni, 255)}
	case !c.literal && sni == "":
		return &refusal{code: CodeNames, why: "TLS does not name the host (SNI)", alert: AlertFronting,
			instead: "Use a client that sends the server's name."}
	case !c.literal && sni != c.at.host:
		return &refusal{code: CodeNames, why: "TLS names another host than the one looked up", alert: AlertFronting, detail: "sni " + printable(sni, 255)}
	}
	return nil
}

// connAction is the action of a connection on which no request was understood.
func (c *agentConn) connAction() ambit.Action {
	a := c.gate.action("tcp.connect", ambit.Write, ambit.Resource{Kind: "tcp", Segments: []string{c.at.String()}})
	if len(c.routes) > 0 {
		a.Service = c.routes[0].Service
	}
	return a
}

func (g *Gate) action(op string, e ambit.Effect, r ambit.Resource) ambit.Action {
	return ambit.Action{Task: g.c.Task.ID, Agent: g.c.Task.Agent, Operation: op, Effect: e, Resource: r}
}
