package web

import (
	"io"
	"net/http"
	"strings"

	"ambit"
)

// inbound is one request of the agent, whichever HTTP version it came in.
type inbound struct {
	conn   *agentConn
	method string
	target string // as on the wire
	host   string // Host or :authority
	header http.Header
	length int64     // of the body; unknownLength when it is not announced
	body   io.Reader // nil when there is none
	r      *reader   // HTTP/1.x only: for an upgrade

	hop connection
	url target
}

// check refuses what this package, the classifier and the upstream could read
// differently. It fills hop and url.
func (in *inbound) check() *refusal {
	if r := checkMethod(in.method); r != nil {
		return r
	}
	encodedSlash := false
	for _, r := range in.conn.routes {
		encodedSlash = encodedSlash || r.EncodedSlash
	}
	var r *refusal
	if in.url, r = parseTarget(in.method, in.target, encodedSlash); r != nil {
		return r
	}
	if r := in.checkHost(); r != nil {
		return r
	}
	if r := checkFields(in.header); r != nil {
		return r
	}
	if in.hop, r = hopByHop(in.header); r != nil {
		return r
	}
	if r := in.checkUpgrade(); r != nil {
		return r
	}
	return checkParams(in.url.query)
}

// checkHost compares Host with the name that was looked up. A request for
// another host on this connection is how a front hides where it goes.
func (in *inbound) checkHost() *refusal {
	host := strings.ToLower(in.host)
	scheme := in.conn.scheme()
	if host == in.conn.at.authority(scheme) {
		return nil
	}
	if in.conn.at.port == defaultPort(scheme) && host == bracket(in.conn.at.host)+in.conn.at.portSuffix() {
		return nil // the default port, spelled out
	}
	return &refusal{code: CodeNames, why: "Host names another place than the connection", alert: AlertFronting,
		detail: "host " + printable(in.host, 255), instead: "Open a connection to the host itself."}
}

// checkUpgrade refuses an upgrade that is not exactly a WebSocket handshake
// (RFC 6455 section 4.1): bytes behind it are no longer read as requests.
func (in *inbound) checkUpgrade() *refusal {
	if in.hop.upgrade == "" {
		return nil
	}
	asked := false
	for _, v := range in.header["Connection"] {
		for tok := range strings.SplitSeq(v, ",") {
			asked = asked || strings.EqualFold(strings.Trim(tok, " \t"), "upgrade")
		}
	}
	if !asked || in.method != "GET" || in.length != 0 || in.r == nil || in.header.Get("Sec-Websocket-Key") == "" ||
		in.header.Get("Sec-Websocket-Version") != "13" {
		return &refusal{code: CodeUpgrade, why: "the request is not a proper WebSocket handshake", alert: AlertSmuggling}
	}
	return nil
}

// request is what the classifier sees for a route.
func (in *inbound) request(r *route) Request {
	return Request{Service: r.Service, Kind: r.Kind, Scheme: r.Scheme, Host: in.conn.at.host, Port: in.conn.at.port,
		Method: in.method, Upgrade: in.hop.upgrade, Segments: in.url.segs, TrailingSlash: in.url.slash, Query: in.url.query,
		Header: in.header, BodyWhole: in.length == 0}
}

// plainAction is the request as an action of no service: for refusals made
// before a service was found.
func (in *inbound) plainAction() ambit.Action {
	scheme := in.conn.scheme()
	segs := append([]string{in.conn.at.authority(scheme)}, in.url.segs...)
	res := ambit.Resource{Kind: "http", Segments: segs}
	op := "http.other"
	if checkMethod(in.method) == nil {
		op = operationOf(in.method)
	}
	a := in.conn.gate.action(op, effectOf(in.method), res)
	a.Args = map[string]string{"method": printable(in.method, 32)}
	if in.url.raw != "" {
		a.Args["url"] = scheme + "://" + in.conn.at.authority(scheme) + in.url.uri()
	}
	return a
}

// operationOf names the operation of a method that nobody classified further.
func operationOf(method string) string { return "http." + strings.ToLower(method) }

// effectOf is the effect by the method alone (RFC 9110 section 9.2.1).
func effectOf(method string) ambit.Effect {
	switch method {
	case "GET", "HEAD", "OPTIONS":
		return ambit.Read
	case "POST", "PUT", "PATCH":
		return ambit.Write
	}
	return ambit.Irreversible
}
