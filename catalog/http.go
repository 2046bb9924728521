package catalog

import (
	"errors"
	"fmt"
	"mime"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"ambit"
)

// httpOperations are the operations of every kind: what a request is when no
// table knows better (RFC 9110 section 9.2, RFC 5789).
func httpOperations() []Operation {
	return []Operation{
		{Name: "http.get", Effect: ambit.Read, Summary: "Read what a URL names"},
		{Name: "http.head", Effect: ambit.Read, Summary: "Read only the header of what a URL names"},
		{Name: "http.options", Effect: ambit.Read, Summary: "Ask what a URL can do"},
		{Name: "http.post", Effect: ambit.Write, Summary: "Send data to a URL"},
		{Name: "http.put", Effect: ambit.Write, Summary: "Replace what a URL names"},
		{Name: "http.patch", Effect: ambit.Write, Summary: "Change what a URL names"},
		{Name: "http.delete", Effect: ambit.Irreversible, Summary: "Delete what a URL names"},
		{Name: "http.websocket", Effect: ambit.Write, Summary: "Open a WebSocket, over which anything can be sent"},
		{Name: "http.batch", Effect: ambit.Irreversible, Summary: "Send many operations in one request"},
		{Name: "http.other", Effect: ambit.Irreversible, Summary: "Use a method that is none of the above"},
		{Name: "graphql.query", Effect: ambit.Read, Summary: "Read by a GraphQL query"},
		{Name: "graphql.mutation", Effect: ambit.Irreversible, Summary: "Change data by a GraphQL mutation"},
		{Name: "graphql.other", Effect: ambit.Irreversible, Summary: "Send GraphQL that cannot be read here"},
		{Name: "git.fetch", Effect: ambit.Read, Summary: "Fetch from a git repository"},
		{Name: "git.push.create", Effect: ambit.Write, Summary: "Push a new branch, tag or note"},
		{Name: "git.push.update", Effect: ambit.Write, Summary: "Push commits on top of a branch's own"},
		{Name: "git.push.force", Effect: ambit.Irreversible, Summary: "Push so that a branch or tag loses what it had"},
		{Name: "git.push.delete", Effect: ambit.Irreversible, Summary: "Delete a branch or tag by a push"},
		{Name: "git.push.options", Effect: ambit.Irreversible, Summary: "Push with options, which mean what the server likes"},
		{Name: "git.push.other", Effect: ambit.Irreversible, Summary: "Push what cannot be read here, or to refs with a meaning of the server's"},
		{Name: "git.lfs.write", Effect: ambit.Write, Summary: "Upload large files of git, or lock them"},
		{Name: "git.lfs.other", Effect: ambit.Irreversible, Summary: "Ask git's store of large files for what cannot be read here"},
	}
}

// generic classifies by the method alone.
func (r *Request) generic() Call {
	res := r.resource()
	switch r.Method {
	case "GET":
		return Call{"http.get", ambit.Read, res}
	case "HEAD":
		return Call{"http.head", ambit.Read, res}
	case "OPTIONS":
		return Call{"http.options", ambit.Read, res}
	case "POST":
		return Call{"http.post", ambit.Write, res}
	case "PUT":
		return Call{"http.put", ambit.Write, res}
	case "PATCH":
		return Call{"http.patch", ambit.Write, res}
	case "DELETE":
		return Call{"http.delete", ambit.Irreversible, res}
	}
	return Call{"http.other", ambit.Irreversible, res}
}

// unlisted is what a service's table does not know: a safe method reads, and
// all else is irreversible.
func (r *Request) unlisted() Call {
	c := r.generic()
	if c.Effect != ambit.Read {
		c.Effect = ambit.Irreversible
	}
	return c
}

// resource is the URL as a resource: host[:port], then the path.
func (r *Request) resource() ambit.Resource {
	segs := make([]string, 0, len(r.Segments)+1)
	segs = append(segs, r.authority())
	return ambit.Resource{Kind: "http", Segments: append(segs, r.Segments...)}
}

// authority is the host, with the port when it is not the scheme's default.
func (r *Request) authority() string {
	if r.Port == 0 || r.Port == defaultPort(r.Scheme) {
		return r.Host
	}
	host := r.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(r.Port)
}

func defaultPort(scheme string) int {
	switch scheme {
	case "https", "wss":
		return 443
	case "http", "ws":
		return 80
	}
	return 0
}

// check refuses what two readers could understand differently.
func (r *Request) check() error {
	switch {
	case defaultPort(r.Scheme) == 0:
		return fmt.Errorf("cannot classify request: scheme %q is neither http nor https", r.Scheme)
	case r.Port < 0 || r.Port > 65535:
		return fmt.Errorf("cannot classify request: %d is no port", r.Port)
	case !goodHost(r.Host):
		return fmt.Errorf("cannot classify request: host %q is not in its plain form", clip(r.Host))
	case !goodMethod(r.Method):
		return fmt.Errorf("cannot classify request: method %q is not upper-case letters", clip(r.Method))
	case r.Method == "CONNECT" || r.Method == "TRACE" || r.Method == "TRACK":
		// A tunnel hides what follows, and a trace reflects the credential.
		return fmt.Errorf("cannot classify request: the method %s is never passed on", r.Method)
	}
	if err := (ambit.Resource{Kind: "http", Segments: r.Segments}).Check(); err != nil {
		return err
	}
	return r.checkOverride()
}

func goodHost(h string) bool {
	if h == "" || len(h) > 253 {
		return false
	}
	if a, err := netip.ParseAddr(h); err == nil {
		return a.String() == h
	}
	for _, label := range strings.Split(h, ".") {
		if !goodLabel(label) {
			return false
		}
	}
	return true
}

func goodLabel(l string) bool {
	if l == "" || len(l) > 63 {
		return false
	}
	for i := range len(l) {
		c := l[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func goodMethod(m string) bool {
	if m == "" || len(m) > 32 {
		return false
	}
	for i := range len(m) {
		if (m[i] < 'A' || m[i] > 'Z') && m[i] != '-' {
			return false
		}
	}
	return true
}

// checkOverride refuses a request that carries a second method: frameworks
// obey these fields, so that a POST deletes. All other readers see a POST.
func (r *Request) checkOverride() error {
	for _, f := range []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Method", "X-Original-Url", "X-Rewrite-Url"} {
		if len(r.header(f)) > 0 {
			return ErrOverride
		}
	}
	if queryNames(r.Query, "_method", "$method", "x-http-method-override") {
		return ErrOverride
	}
	if r.isForm() && r.formOverrides() {
		return ErrOverride
	}
	return nil
}

func (r *Request) header(name string) []string {
	if r.Header == nil {
		return nil
	}
	return r.Header(name)
}

// queryNames says whether a raw query or an urlencoded form holds one of the
// names, however it is written. Both separators that servers use count.
func queryNames(raw string, names ...string) bool {
	if raw == "" {
		return false
	}
	for part := range strings.FieldsFuncSeq(raw, func(c rune) bool { return c == '&' || c == ';' }) {
		key, _, _ := strings.Cut(part, "=")
		if k, err := url.QueryUnescape(key); err == nil {
			key = k
		}
		// PHP and Rack read "_method[]" and " _method" as _method too.
		key, _, _ = strings.Cut(strings.TrimSpace(key), "[")
		for _, n := range names {
			if strings.EqualFold(key, n) {
				return true
			}
		}
	}
	return false
}

// mediaType is the one content type in lower case, without parameters; "?"
// when it cannot be read, is there twice, or names a charset but UTF-8.
func (r *Request) mediaType() string {
	v := r.header("Content-Type")
	if len(v) == 0 {
		return ""
	}
	if len(v) > 1 {
		return "?"
	}
	t, params, err := mime.ParseMediaType(v[0])
	if err != nil {
		return "?"
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return "?"
	}
	return t
}

// plainBody says whether the body is all there and not encoded.
func (r *Request) plainBody() bool {
	for _, e := range r.header("Content-Encoding") {
		if !strings.EqualFold(e, "identity") {
			return false
		}
	}
	return r.BodyWhole
}

// upgrade handles a request to leave HTTP on this connection.
func (r *Request) upgrade() (c Call, ok bool, err error) {
	v := r.header("Upgrade")
	if r.Upgrade != "" && len(v) == 0 {
		v = []string{r.Upgrade}
	}
	if len(v) == 0 {
		return Call{}, false, nil
	}
	if len(v) != 1 || !strings.EqualFold(v[0], "websocket") || r.Method != "GET" {
		return Call{}, false, errors.New("cannot classify request: the only upgrade passed on is a GET to websocket")
	}
	return Call{"http.websocket", ambit.Write, r.resource()}, true, nil
}

// isBatch says whether the path is an endpoint that runs other requests, whose
// methods and paths are in the body (OData 4.01 part 1 section 11.7).
func (r *Request) isBatch() bool {
	if len(r.Segments) == 0 || r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS" {
		return false
	}
	switch strings.ToLower(r.Segments[len(r.Segments)-1]) {
	case "$batch", "batch", "_bulk", "_batch", "batchrequests":
		return true
	}
	return false
}

// classifyHTTP is the kind "http".
func classifyHTTP(r *Request) ([]Call, error) {
	if c, ok, err := r.upgrade(); ok || err != nil {
		return one(c, err)
	}
	if r.Service.Git {
		if c, ok := r.git(); ok {
			c.Resource = r.resource()
			return one(c, nil)
		}
		if r.oddPush() || r.Method != "GET" && r.Method != "HEAD" && r.Method != "OPTIONS" && r.Method != "POST" && r.gitFile() {
			return one(Call{opPushOther, ambit.Irreversible, r.resource()}, nil)
		}
	}
	if r.isBatch() {
		return one(Call{"http.batch", ambit.Irreversible, r.resource()}, nil)
	}
	if r.speaksGraphQL() {
		return r.graphQL(r.openGraphQL())
	}
	c := r.generic()
	switch {
	case r.hiddenForm():
		c.Effect = ambit.Irreversible
	case r.declaredRead():
		c.Effect = ambit.Read
	}
	return one(c, nil)
}

// classifyWeb is the kind "web": pages of anybody, about which nobody declared
// anything.
func classifyWeb(r *Request) ([]Call, error) {
	w := *r
	w.Service = Service{}
	return classifyHTTP(&w)
}

// declaredRead says whether the owner declared this very POST a read.
func (r *Request) declaredRead() bool {
	if r.Method != "POST" || r.TrailingSlash {
		return false
	}
	for _, p := range r.Service.Reads {
		if p.Match(r.Segments) {
			return true
		}
	}
	return false
}

func one(c Call, err error) ([]Call, error) {
	if err != nil {
		return nil, err
	}
	return []Call{c}, nil
}

// clip bounds what an error repeats of somebody's input.
func clip(s string) string { return s[:min(len(s), 80)] }
