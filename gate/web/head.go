package web

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// head is the head of one HTTP/1.x request, as it stood on the wire.
type head struct {
	method string
	target string
	minor  int // HTTP/1.minor, 0 or 1
	host   string
	header http.Header // canonical names, without Host, Content-Length and Transfer-Encoding
	length int64       // bytes of body; unknownLength when chunked
}

// unknownLength is the length of a chunked body.
const unknownLength = -1

// Bounds of a head.
const (
	maxFields = 128
	maxName   = 128
)

// parseHead reads a whole head, from the request line to the empty line. It
// accepts a strict subset of RFC 9112: what two readers could frame or route
// differently is refused, and nothing is repaired.
func parseHead(b []byte) (*head, *refusal) {
	line, rest, ok := bytes.Cut(b, crlf)
	if !ok {
		return nil, badRequest("the head is incomplete")
	}
	h := &head{header: make(http.Header, 12)}
	if r := h.requestLine(line); r != nil {
		return h, r
	}
	var f framing
	for n := 0; ; n++ {
		line, rest, ok = bytes.Cut(rest, crlf)
		switch {
		case !ok:
			return h, badRequest("the head is incomplete")
		case len(line) == 0 && len(rest) > 0:
			return h, badRequest("the head ends early")
		case len(line) == 0:
			return h, f.finish(h)
		case n == maxFields:
			return h, badRequest("the head has too many fields")
		}
		if r := h.field(line, &f); r != nil {
			return h, r
		}
	}
}

var crlf = []byte("\r\n")

// requestLine reads "METHOD SP target SP HTTP/1.x" (RFC 9112 section 3).
func (h *head) requestLine(line []byte) *refusal {
	m, rest, ok1 := bytes.Cut(line, []byte(" "))
	t, v, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok1 || !ok2 {
		return badRequest("the request line is not METHOD, target and version")
	}
	for _, c := range t {
		if c <= 0x20 || c >= 0x7f {
			return badRequest("the request target holds a byte that is not plain ASCII")
		}
	}
	switch string(v) {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
	default:
		return badRequest("the version is neither HTTP/1.1 nor HTTP/1.0")
	}
	h.method, h.target = string(m), string(t)
	return checkMethod(h.method)
}

// checkMethod knows the methods that are passed on. CONNECT would open a tunnel
// that nobody reads, TRACE sends an injected credential back, and a method that
// we do not know may be framed differently by the upstream.
func checkMethod(m string) *refusal {
	switch m {
	case "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE":
		return nil
	}
	return &refusal{code: CodeMethod, why: "the method is none of GET, HEAD, OPTIONS, POST, PUT, PATCH and DELETE",
		alert: AlertSmuggling}
}

// field reads one field line (RFC 9112 section 5).
func (h *head) field(line []byte, f *framing) *refusal {
	if line[0] == ' ' || line[0] == '\t' {
		// obs-fold: one reader sees a new value, another a longer one.
		return badRequest("a field is folded over two lines")
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) || len(name) > maxName {
		return badRequest("a field has no proper name")
	}
	value = bytes.Trim(value, " \t")
	for _, c := range value {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return badRequest("a field holds a control character")
		}
	}
	key, val := textproto.CanonicalMIMEHeaderKey(string(name)), string(value)
	switch key {
	case "Host":
		f.hosts++
		h.host = val
	case "Content-Length":
		f.lengths++
		f.length = val
	case "Transfer-Encoding":
		f.codings++
		f.coding = val
	default:
		h.header[key] = append(h.header[key], val)
	}
	return nil
}

// framing collects the fields that say where a request ends and whom it is for.
type framing struct {
	hosts, lengths, codings int
	length, coding          string
}

// finish checks the framing as a whole (RFC 9112 sections 3.2 and 6).
func (f *framing) finish(h *head) *refusal {
	switch {
	case f.hosts != 1 || h.host == "":
		return badRequest("there is not exactly one Host")
	case f.lengths > 1 || f.codings > 1:
		return badRequest("the length of the body is given twice")
	case f.lengths == 1 && f.codings == 1:
		// The classical smuggling: one reader takes the length, the other the chunks.
		return badRequest("there are both Content-Length and Transfer-Encoding")
	case f.codings == 1 && (h.minor == 0 || !strings.EqualFold(f.coding, "chunked")):
		return badRequest("the transfer coding is not chunked")
	case f.codings == 1:
		h.length = unknownLength
	case f.lengths == 1:
		n, ok := parseLength(f.length)
		if !ok {
			return badRequest("the Content-Length is not a plain number")
		}
		h.length = n
	}
	return nil
}

// parseLength reads digits only: no sign, no space, no list, no underscore.
func parseLength(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 63)
	return n, err == nil
}

// isToken says whether b is a token (RFC 9110 section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if c <= 0x20 || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return len(b) > 0
}
