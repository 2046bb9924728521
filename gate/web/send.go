package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"ambit"
	"ambit/pipeline"
)

// send performs the permitted request and passes the response on.
func (x *exchange) send(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
	if err := p.Check(); err != nil {
		return ambit.Refused, "no permit", err
	}
	x.record = p.Record()
	if x.asked && !x.bound {
		// The person approved an action whose bytes were not bound to it:
		// other bytes than those shown could follow.
		return ambit.Refused, "asked without the body", tooLarge()
	}
	req, secret, err := x.outgoing(ctx, p)
	if err != nil {
		return ambit.Refused, err.Error(), &refusal{code: pipeline.CodeNoCredential, why: "the credential of the service cannot be used"}
	}
	if x.blanked {
		x.g.alertBlanked(ctx, p.Action())
	}
	x.guardBody(req, x.onPlaceholder(ctx, p.Action()))
	resp, err := x.g.upstreamTransport(x.r).RoundTrip(req)
	if err != nil {
		return x.unanswered(ctx, p.Action(), err)
	}
	defer resp.Body.Close()
	return x.respond(ctx, p.Action(), resp, secret)
}

// unanswered says why there is no response.
func (x *exchange) unanswered(ctx context.Context, a ambit.Action, err error) (ambit.Outcome, string, error) {
	if errors.Is(err, errPlaceholder) {
		bad := leaked("body")
		x.g.c.Alert(ctx, bad.alert, a, bad.why)
		return ambit.OutcomeUnknown, bad.why, bad
	}
	if bad, ok := errors.AsType[*refusal](err); ok {
		return ambit.OutcomeUnknown, bad.why, bad // the agent's body was badly framed
	}
	if ctx.Err() != nil {
		return ambit.OutcomeUnknown, "the agent hung up", ctx.Err()
	}
	return x.g.failed(ctx, a, err)
}

// outgoing makes the request for the upstream, with the credential in it.
func (x *exchange) outgoing(ctx context.Context, p pipeline.Permit) (*http.Request, []byte, error) {
	in := x.in
	host := in.conn.at.authority(x.r.Scheme)
	req := (&http.Request{
		Method: in.method,
		URL: &url.URL{Scheme: x.r.Scheme, Host: host, Path: in.url.path, RawPath: in.url.raw,
			RawQuery: in.url.query, ForceQuery: in.url.hasQuery && in.url.query == ""},
		Host:          host,
		Header:        in.header,
		ContentLength: in.length,
		Proto:         "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if _, ok := in.header["User-Agent"]; !ok {
		in.header["User-Agent"] = []string{""} // net/http would add its own
	}
	if in.hop.expect && in.length != 0 {
		in.header["Expect"] = []string{"100-continue"}
	}
	if in.hop.upgrade != "" {
		in.header["Connection"], in.header["Upgrade"] = []string{"Upgrade"}, []string{in.hop.upgrade}
		delete(in.header, "Sec-Websocket-Extensions") // compressed messages cannot be searched
	}
	if !x.r.HasCredential {
		return req, nil, nil
	}
	secret := p.Secret().Reveal()
	if err := x.r.Inject.apply(in.header, req.URL, secret); err != nil {
		return nil, nil, err
	}
	// Compressed or partial bodies cannot be searched for the credential.
	in.header["Accept-Encoding"] = []string{"identity"}
	delete(in.header, "Range")
	delete(in.header, "If-Range")
	return req, secret, nil
}

// guardBody sets the request's body: what was read already, then the rest, and
// all of it searched for placeholders while it passes.
func (x *exchange) guardBody(req *http.Request, found func(b []byte, at []span) error) {
	if x.in.length == 0 {
		return
	}
	if x.whole {
		req.ContentLength = int64(len(x.prefix))
		req.Body = io.NopCloser(bytes.NewReader(x.prefix))
		// For a connection that the upstream closed before anything was sent.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.prefix)), nil }
		if len(x.prefix) == 0 {
			req.Body = http.NoBody
		}
		return
	}
	src := x.in.body
	if len(x.prefix) > 0 {
		src = io.MultiReader(bytes.NewReader(x.prefix), src)
	}
	if len(x.g.placeholders.pats) == 0 {
		req.Body = io.NopCloser(src)
		return
	}
	// The buffer is not lent: the transport may read after it has answered.
	size := min(copySize, max(readSize, x.in.length)+2*int64(x.g.placeholders.longest))
	if x.in.length == unknownLength {
		size = copySize
	}
	req.Body = io.NopCloser(newScanner(src, x.g.placeholders.matcher, make([]byte, size), found))
}

// respond passes the response on.
func (x *exchange) respond(ctx context.Context, a ambit.Action, resp *http.Response, secret []byte) (ambit.Outcome, string, error) {
	m := x.scrubber(secret)
	if m != nil && compressed(resp) && hasBody(x.in.method, resp) {
		return outcomeOf(resp.StatusCode), "compressed answer", &refusal{code: CodeUnscrubbed, gateway: true,
			why: "the request was performed, but its answer is compressed although that was not asked for, and cannot be searched for the credential"}
	}
	isSocket := resp.StatusCode == http.StatusSwitchingProtocols
	if isSocket {
		if bad := x.switched(resp); bad != nil {
			return ambit.Failed, bad.why, bad
		}
	}
	hit := x.cleanHeader(resp, m)
	if up, ok := resp.Body.(io.ReadWriteCloser); ok && isSocket {
		if hit {
			x.reflected(ctx, a)
		}
		return x.socket(ctx, a, up, m)
	}
	heard := x.listen(resp, m)
	n, cut := x.copyBody(ctx, resp, m, &hit)
	heard()
	if hit {
		x.reflected(ctx, a)
	}
	detail := strconv.Itoa(resp.StatusCode)
	if cut != nil {
		return outcomeOf(resp.StatusCode), fmt.Sprintf("%s, cut after %d bytes", detail, n), cut
	}
	return outcomeOf(resp.StatusCode), detail, nil
}

// reflected tells that the credential came back.
func (x *exchange) reflected(ctx context.Context, a ambit.Action) {
	x.g.c.Alert(ctx, AlertReflected, a, "the service sent the credential back; it was blanked")
}

// outcomeOf is what a status says of the effect (RFC 9110 section 15).
func outcomeOf(status int) ambit.Outcome {
	if status >= 400 {
		return ambit.Failed
	}
	return ambit.Performed
}

func (x *exchange) scrubber(secret []byte) *matcher {
	if len(secret) == 0 {
		return nil
	}
	return x.r.scrubber(secret)
}

func compressed(resp *http.Response) bool {
	for _, v := range resp.Header["Content-Encoding"] {
		if v != "" && !strings.EqualFold(v, "identity") {
			return true
		}
	}
	return false
}

func hasBody(method string, resp *http.Response) bool {
	return method != http.MethodHead && resp.StatusCode >= 200 && resp.StatusCode != http.StatusNoContent &&
		resp.StatusCode != http.StatusNotModified && resp.ContentLength != 0
}

// responseDropped are fields between the upstream and us, or about ways around us.
var responseDropped = [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Alt-Svc"}

// cleanHeader makes the response's fields those of ours, and says whether the
// credential was among them.
func (x *exchange) cleanHeader(resp *http.Response, m *matcher) bool {
	h := x.w.Header()
	clear(h)
	for _, k := range responseDropped {
		delete(resp.Header, k)
	}
	if m != nil {
		// A session that the credential opened is a credential too.
		delete(resp.Header, "Set-Cookie")
	}
	hit := false
	for k, vs := range resp.Header {
		h[k] = vs
		hit = scrubField(h, k, m) || hit
	}
	switch {
	case resp.StatusCode == http.StatusNotModified: // its length is that of the whole (RFC 9110 section 8.6)
	case resp.ContentLength >= 0 && resp.StatusCode != http.StatusNoContent:
		h["Content-Length"] = []string{strconv.FormatInt(resp.ContentLength, 10)}
	default:
		delete(h, "Content-Length")
	}
	if _, ok := h["Content-Type"]; !ok && x.out == nil {
		h["Content-Type"] = nil // net/http would guess one
	}
	return hit
}

func scrubField(h http.Header, k string, m *matcher) bool {
	if m == nil {
		return false
	}
	if m.hasText(k) {
		delete(h, k)
		return true
	}
	hit := false
	for i, v := range h[k] {
		if m.hasText(v) {
			b := []byte(v)
			m.scrub(b)
			h[k][i], hit = string(b), true
		}
	}
	return hit
}

// copyBody passes the body on as it comes, and returns its length and what cut
// it short.
func (x *exchange) copyBody(ctx context.Context, resp *http.Response, m *matcher, hit *bool) (n int64, cut error) {
	src := io.Reader(resp.Body)
	if m != nil {
		lent := x.g.buffers.get()
		defer x.g.buffers.put(lent)
		src = newScanner(src, m, lent[:], func(b []byte, at []span) error {
			*hit = true
			blank(b, at)
			return nil
		})
	}
	f, _ := x.w.(http.Flusher)
	x.started = true
	x.w.WriteHeader(resp.StatusCode)
	if f != nil && resp.ContentLength < 0 {
		f.Flush() // an event stream may be silent for long
	}
	buf := x.g.buffers.get()
	defer x.g.buffers.put(buf)
	for {
		k, err := src.Read(buf[:])
		if k > 0 {
			if _, werr := x.w.Write(buf[:k]); werr != nil {
				return n, werr
			}
			n += int64(k)
			if f != nil {
				f.Flush()
			}
		}
		switch {
		case err == io.EOF:
			x.trailers(resp, m)
			return n, nil
		case err != nil:
			return n, err
		case ctx.Err() != nil:
			return n, ctx.Err()
		}
	}
}

// trailers passes an HTTP/2 response's trailers on, which gRPC needs.
func (x *exchange) trailers(resp *http.Response, m *matcher) {
	if x.out != nil {
		return
	}
	for k, vs := range resp.Trailer {
		scrubField(resp.Trailer, k, m)
		x.w.Header()[http.TrailerPrefix+k] = vs
	}
}
