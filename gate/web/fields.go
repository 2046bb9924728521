package web

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// singletons are fields that must not come twice: the classifier would read the
// first and the upstream might obey the last.
var singletons = [...]string{"Content-Type", "Content-Encoding", "Authorization", "Upgrade", "Expect",
	"Range", "If-Range", "Transfer-Encoding", "Content-Length", "Sec-Websocket-Key", "Sec-Websocket-Version"}

// overrides are fields by which frameworks replace the method or the path that
// was decided on.
var overrides = [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Method",
	"X-Original-Method", "X-Original-Url", "X-Rewrite-Url", "X-Override-Url", "X-Forwarded-Uri",
	"X-Forwarded-Path", "X-Original-Uri", "X-Original-Host"}

// methodParams are the same in a query.
var methodParams = [...]string{"_method", "_httpmethod", "$httpmethod", "x-http-method", "x-http-method-override"}

// dropped fields are between the agent and us, or claim to speak for a proxy
// that there is not.
var dropped = [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate",
	"Trailer", "Upgrade", "Expect", "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
	"X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Real-Ip", "Alt-Used", "Content-Length"}

// connection is what a request's hop-by-hop fields say.
type connection struct {
	close   bool
	upgrade string // "websocket" or none
	expect  bool   // waits for 100 Continue
	te      bool   // takes trailers
}

// checkFields refuses fields that could be understood differently elsewhere.
// It changes nothing.
func checkFields(h http.Header) *refusal {
	for _, k := range singletons {
		if len(h[k]) > 1 {
			return badRequest("the field " + k + " comes twice")
		}
	}
	for _, k := range overrides {
		if _, ok := h[k]; ok {
			return &refusal{code: CodeOverride, why: "the field " + k + " would replace the method or path that was decided on",
				instead: "Send the method and path themselves.", alert: AlertSmuggling}
		}
	}
	for k := range h {
		if strings.IndexByte(k, '_') >= 0 && twin(k) {
			// CGI and WSGI read "Content_Length" as "Content-Length".
			return badRequest("the name of a field has an underscore for a hyphen")
		}
	}
	if v := h.Get("Content-Type"); !plainASCII(v) {
		return badRequest("the Content-Type is not plain ASCII")
	}
	return nil
}

// twin says whether a name with underscores shadows a field that matters.
func twin(k string) bool {
	k = textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(k, "_", "-"))
	for _, list := range [...][]string{singletons[:], overrides[:], dropped[:]} {
		for _, n := range list {
			if n == k {
				return true
			}
		}
	}
	return k == "Host" || k == "Cookie" || k == "Sec-Websocket-Extensions" || credentialFields[k]
}

// checkParams refuses a query that replaces the method.
func checkParams(query string) *refusal {
	if query == "" {
		return nil
	}
	for p := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
		name, _, _ := strings.Cut(p, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return badPath("the query has a broken percent escape")
		}
		for _, m := range methodParams {
			if strings.EqualFold(name, m) {
				return &refusal{code: CodeOverride, why: "the query parameter " + m + " would replace the method that was decided on",
					instead: "Send the method itself.", alert: AlertSmuggling}
			}
		}
	}
	return nil
}

// hopByHop reads what is meant for us alone.
func hopByHop(h http.Header) (connection, *refusal) {
	var c connection
	for _, v := range h["Connection"] {
		for tok := range strings.SplitSeq(v, ",") {
			switch tok = strings.ToLower(strings.Trim(tok, " \t")); tok {
			case "close":
				c.close = true
			case "upgrade", "keep-alive", "te", "":
			default:
				// "Connection: Authorization" makes a proxy drop a field
				// that the decision or the upstream relies on.
				return c, badRequest("the Connection field names another field")
			}
		}
	}
	if v := h.Get("Expect"); v != "" {
		if !strings.EqualFold(v, "100-continue") {
			return c, badRequest("the Expect field is not 100-continue")
		}
		c.expect = true
	}
	if v := h.Get("Upgrade"); v != "" {
		// h2c and others would carry requests that nobody reads.
		if !strings.EqualFold(v, "websocket") {
			return c, &refusal{code: CodeUpgrade, why: "the connection can be upgraded to WebSocket only", alert: AlertSmuggling}
		}
		c.upgrade = "websocket"
	}
	if _, ok := h["Http2-Settings"]; ok {
		return c, &refusal{code: CodeUpgrade, why: "the connection can be upgraded to WebSocket only", alert: AlertSmuggling}
	}
	for _, v := range h["Te"] {
		c.te = c.te || strings.EqualFold(strings.Trim(v, " \t"), "trailers")
	}
	return c, nil
}

// endToEnd removes what is not meant for the upstream.
func endToEnd(h http.Header, c connection) {
	for _, k := range dropped {
		delete(h, k)
	}
	delete(h, "Te")
	if c.te {
		h["Te"] = []string{"trailers"} // gRPC needs it (RFC 9110 section 10.1.4)
	}
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
