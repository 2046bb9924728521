package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ambit"
)

// maxCalls bounds the operations of one request.
const maxCalls = 32

// classify chooses the route and makes the actions. Where several services
// reach the same place, it is the first under which the actions are not denied.
func (x *exchange) classify() *refusal {
	var first *refusal
	for _, r := range x.in.conn.routes {
		acts, bad := x.actionsFor(r)
		if bad != nil {
			if first == nil {
				first = bad
			}
			continue
		}
		hopeful := len(x.in.conn.routes) > 1 && x.foresee(acts) != ambit.Deny
		if x.r == nil || hopeful {
			x.r, x.acts = r, acts
		}
		if hopeful {
			break
		}
	}
	if x.r == nil {
		return first
	}
	return nil
}

// actionsFor asks the classifier what the request would do at a route's service.
func (x *exchange) actionsFor(r *route) ([]ambit.Action, *refusal) {
	if x.in.url.encoded && !r.EncodedSlash {
		return nil, badPath("the path holds an encoded slash or a backslash")
	}
	req := x.in.request(r)
	if bad := x.readFor(&req); bad != nil {
		return nil, bad
	}
	req.Proven = x.push.isProven
	calls, err := x.g.c.Classifier.Classify(req)
	switch {
	case err != nil:
		return nil, &refusal{code: CodeUnknown, why: printable(err.Error(), 512)}
	case len(calls) == 0 || len(calls) > maxCalls:
		return nil, &refusal{code: CodeUnknown, why: "the request holds no operation that is known, or too many"}
	}
	acts := make([]ambit.Action, len(calls))
	for i, c := range calls {
		acts[i] = x.g.action(c.Operation, c.Effect.Worst(), c.Resource)
		// Anything can be sent after an upgrade. Only a service that is known for
		// what it takes then is not a write: a model's, say.
		if req.Upgrade != "" && acts[i].Effect == ambit.Read && strings.HasPrefix(c.Operation, "http.") {
			acts[i].Effect = ambit.Write
		}
		acts[i].Service = r.Service
		if err := acts[i].Check(); err != nil {
			return nil, &refusal{code: CodeUnknown, why: printable(err.Error(), 512)}
		}
	}
	return acts, nil
}

// readFor reads as much of the body as the classifier wants to see.
func (x *exchange) readFor(req *Request) *refusal {
	for seen := int64(0); ; {
		limit := x.g.c.Classifier.BodyLimit(*req)
		if limit <= seen || x.in.length == 0 {
			return nil
		}
		if bad := x.readBody(limit); bad != nil {
			return bad
		}
		req.Body, req.BodyWhole, x.digest = x.prefix, x.whole, true
		if int64(len(req.Body)) > limit {
			req.Body, req.BodyWhole = req.Body[:limit], false
		}
		if req.BodyWhole {
			return nil
		}
		seen = limit
	}
}

// foresee is the strictest verdict to be expected.
func (x *exchange) foresee(acts []ambit.Action) ambit.Verdict {
	v := ambit.Allow
	for i := range acts {
		v = min(v, x.g.c.Foresee(&acts[i]))
	}
	return v
}

// readBody reads up to limit bytes of the body, or all of it when it is shorter.
// What was read before is kept.
func (x *exchange) readBody(limit int64) *refusal {
	if x.whole || int64(len(x.prefix)) >= limit {
		return nil
	}
	want := limit
	if x.in.length >= 0 {
		want = min(limit, x.in.length)
	}
	if !x.charge(want - int64(len(x.prefix))) {
		return &refusal{code: CodeBusy, why: "too many large requests at once", instead: "Try again in a moment."}
	}
	buf := bytes.NewBuffer(x.prefix)
	_, err := io.CopyN(buf, x.in.body, want-int64(len(x.prefix)))
	x.prefix = buf.Bytes()
	switch {
	case err == io.EOF:
		x.whole = true
	case err != nil:
		if bad, ok := errors.AsType[*refusal](err); ok {
			return bad
		}
		return badRequest("the body broke off")
	default:
		x.whole = int64(len(x.prefix)) == x.in.length
	}
	return nil
}

// smallBody is what is read before anything else, so that a placeholder in it
// is found before the upstream is contacted, in bytes.
const smallBody = 8 << 10

// readSmall reads a short body that is on its way.
func (x *exchange) readSmall() *refusal {
	if x.in.length <= 0 || x.in.length > smallBody || x.in.hop.expect {
		return nil
	}
	return x.readBody(smallBody)
}

// charge takes n bytes of the gate's budget for buffered bodies.
func (x *exchange) charge(n int64) bool {
	if x.g.buffered.Add(n) > x.g.c.Limits.BufferTotal {
		x.g.buffered.Add(-n)
		return false
	}
	x.charged += n
	return true
}

// bind gives the actions their arguments. When a person will be asked, they
// hold the digest of the body and of the fields that matter, so that an
// approval is for these bytes alone.
func (x *exchange) bind() *refusal {
	args := x.baseArgs()
	for i := range x.acts {
		x.acts[i].Args = args // one map for all: they are parts of one request
	}
	if x.push != nil {
		x.bindPush(args)
		return nil
	}
	asked := x.r.Ask
	if x.g.c.Foresee != nil {
		asked = x.foresee(x.acts) == ambit.Ask
	}
	if asked && x.in.length != 0 {
		if x.in.length > x.g.c.Limits.BoundBody {
			return tooLarge()
		}
		if bad := x.readBody(x.g.c.Limits.BoundBody + 1); bad != nil {
			return bad
		}
		if !x.whole {
			return tooLarge()
		}
	}
	x.digest = x.digest || asked
	x.bound = asked && (x.in.length == 0 || x.whole)
	if x.whole && x.digest {
		sum := sha256.Sum256(x.prefix)
		args["body-sha256"] = hex.EncodeToString(sum[:])
		args["body-length"] = strconv.Itoa(len(x.prefix))
	}
	if x.bound {
		args["fields-sha256"] = fieldsDigest(x.in.header)
	}
	return nil
}

func tooLarge() *refusal {
	return &refusal{code: CodeTooLarge, why: "a person must approve this, and the body is too large to be shown to one",
		instead: "Send less at once, with a Content-Length of at most 1 MiB."}
}

func (x *exchange) baseArgs() map[string]string {
	args := make(map[string]string, 8)
	args["method"], args["url"] = x.in.method, x.url()
	for _, f := range [...]struct{ arg, field string }{{"content-type", "Content-Type"}, {"content-encoding", "Content-Encoding"}} {
		if v := x.in.header.Get(f.field); v != "" {
			args[f.arg] = printable(v, 256)
		}
	}
	if x.in.hop.upgrade != "" {
		args["upgrade"] = x.in.hop.upgrade
	}
	return args
}

// url is the whole URL as it is sent, without what is injected.
func (x *exchange) url() string {
	return x.r.Scheme + "://" + x.in.conn.at.authority(x.r.Scheme) + x.in.url.uri()
}

// fieldsDigest is the SHA-256 of the fields that an approval binds: all but
// those that change from one try to the next.
func fieldsDigest(h http.Header) string {
	sum := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(h)) {
		if volatile(k) {
			continue
		}
		for _, v := range h[k] {
			io.WriteString(sum, k+": "+v+"\r\n") // a hash takes everything
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// volatile says whether a field changes from one try of the same request to
// the next and means nothing for what it does.
func volatile(k string) bool {
	for _, p := range [...]string{"Accept", "Sec-Fetch-", "X-Stainless-", "X-B3-"} {
		if strings.HasPrefix(k, p) {
			return true
		}
	}
	switch k {
	case "User-Agent", "Traceparent", "Tracestate", "Baggage", "Sentry-Trace", "X-Request-Id", "X-Correlation-Id",
		"X-Client-Request-Id", "Idempotency-Key", "X-Idempotency-Key", "Date", "Sec-Websocket-Key", "Content-Type", "Content-Encoding":
		return true
	}
	return false
}
