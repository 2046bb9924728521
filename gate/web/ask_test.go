package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ambit"
	"ambit/catalog/git"
	"ambit/pipeline"
)

// What a person is asked is bound to the bytes that follow.

func asking(h *house, c *Config) {
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if a.Effect == ambit.Read {
			return ambit.Allow
		}
		return ambit.Ask
	}
	c.Foresee = func(a *ambit.Action) ambit.Verdict { return h.decide(a) }
}

func TestAskedActionHoldsTheBody(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		h := newHouse(t, nil, withCredential, asking)
		approved := map[ambit.Digest]bool{}
		var last pipeline.Question
		h.ask = func(q pipeline.Question) (pipeline.Answer, error) {
			last = q
			if approved[q.Digest] {
				delete(approved, q.Digest)
				return pipeline.Answer{Approved: true, By: "owner"}, nil
			}
			return pipeline.Answer{Pending: true, Ticket: "t1", Until: time.Now().Add(time.Minute)}, nil
		}
		c := h.client(proto)
		send := func(body string, fields ...string) (int, answerError, http.Header) {
			req, _ := http.NewRequest("POST", h.url("/pay?x=1"), strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			for i := 0; i < len(fields); i += 2 {
				req.Header.Set(fields[i], fields[i+1])
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			var a answer
			json.Unmarshal(b, &a)
			return resp.StatusCode, a.Error, resp.Header
		}
		code, e, hdr := send(`{"amount":10}`)
		if code != 403 || e.Code != pipeline.CodePending || e.Ticket != "t1" || e.RetryAfter != 10 || hdr.Get("Retry-After") != "10" || e.Record == "" {
			t.Errorf("%s: got %d %+v", proto, code, e)
		}
		for _, want := range []string{"POST " + h.url("/pay?x=1"), `{"amount":10}`, "Content-Type: application/json"} {
			if !strings.Contains(last.Preview, want) {
				t.Errorf("%s: the preview lacks %q:\n%s", proto, want, last.Preview)
			}
		}
		if len(last.Action.Args["body-sha256"]) != 64 || last.Action.Args["body-length"] != "13" || last.Action.Args["content-type"] != "application/json" {
			t.Errorf("%s: args %v", proto, last.Action.Args)
		}
		approved[last.Digest] = true
		for name, other := range map[string]func() (int, answerError, http.Header){
			"other body":  func() (int, answerError, http.Header) { return send(`{"amount":11}`) },
			"other type":  func() (int, answerError, http.Header) { return send(`{"amount":10}`, "Content-Type", "text/plain") },
			"other field": func() (int, answerError, http.Header) { return send(`{"amount":10}`, "X-Account", "2") },
		} {
			if code, _, _ := other(); code != 403 || len(h.up.requests()) != 0 {
				t.Errorf("%s: %s passed with the approval of another: %d", proto, name, code)
			}
		}
		if code, _, _ := send(`{"amount":10}`, "User-Agent", "other", "X-Request-Id", "2"); code != 200 {
			t.Errorf("%s: the identical retry got %d", proto, code)
		}
		if code, _, _ := send(`{"amount":10}`); code != 403 {
			t.Errorf("%s: an approval was used twice: %d", proto, code)
		}
		if reqs := h.up.requests(); len(reqs) != 1 || reqs[0].body != `{"amount":10}` {
			t.Errorf("%s: the upstream saw %+v", proto, reqs)
		}
	}
}

func TestTooLargeToAsk(t *testing.T) {
	h := newHouse(t, nil, asking)
	var asked atomic.Int32
	h.ask = func(pipeline.Question) (pipeline.Answer, error) {
		asked.Add(1)
		return pipeline.Answer{Approved: true, By: "owner"}, nil
	}
	big := bytes.Repeat([]byte("x"), 1<<20+1)
	for name, req := range map[string]*http.Request{
		"announced": must(http.NewRequest("POST", h.url("/x"), bytes.NewReader(big))),
		"chunked":   must(http.NewRequest("POST", h.url("/x"), io.NopCloser(bytes.NewReader(big)))),
	} {
		resp, err := h.client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 403 || !strings.Contains(string(b), CodeTooLarge) {
			t.Errorf("%s: got %d %s", name, resp.StatusCode, b)
		}
	}
	if asked.Load() != 0 || len(h.up.requests()) != 0 {
		t.Errorf("asked %d times, the upstream saw %d", asked.Load(), len(h.up.requests()))
	}
	resp, err := h.client().Post(h.url("/x"), "", bytes.NewReader(big[:1<<20]))
	if err != nil || resp.StatusCode != 200 || asked.Load() != 1 {
		t.Errorf("just at the bound: %v %v", resp, err)
	}
	eventually(t, "empty budget", func() bool { return h.gate.buffered.Load() == 0 })
}

func must(r *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return r
}

// A verdict that turns to ask between the look ahead and the decision must not
// let unbound bytes follow an approval.
func TestAskUnforeseen(t *testing.T) {
	h := newHouse(t, nil, asking, func(_ *house, c *Config) { c.Foresee = func(*ambit.Action) ambit.Verdict { return ambit.Allow } })
	h.ask = func(pipeline.Question) (pipeline.Answer, error) {
		return pipeline.Answer{Approved: true, By: "owner"}, nil
	}
	resp, err := h.client().Post(h.url("/x"), "", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 || len(h.up.requests()) != 0 {
		t.Errorf("got %d, the upstream saw %v", resp.StatusCode, h.up.requests())
	}
	if e := h.log.lastEnd(t); e.Outcome != ambit.Refused {
		t.Errorf("recorded %v", e)
	}
}

func TestBuffersAreBounded(t *testing.T) {
	h := newHouse(t, nil, asking, func(_ *house, c *Config) { c.Limits.BufferTotal = 1 << 20 })
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	entered := make(chan struct{}, 4)
	h.ask = func(pipeline.Question) (pipeline.Answer, error) {
		entered <- struct{}{}
		<-hold
		return pipeline.Answer{}, nil
	}
	body := bytes.Repeat([]byte("x"), 700<<10)
	done := make(chan int, 1)
	go func() {
		resp, err := h.client().Post(h.url("/x"), "", bytes.NewReader(body))
		if err != nil {
			done <- 0
			return
		}
		resp.Body.Close()
		done <- resp.StatusCode
	}()
	<-entered
	resp, err := h.client().Post(h.url("/x"), "", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 403 || !strings.Contains(string(b), CodeBusy) {
		t.Errorf("got %d %s", resp.StatusCode, b)
	}
	release()
	if code := <-done; code != 403 {
		t.Errorf("the first got %d", code)
	}
}

// several is a classifier for which a request holds several operations.
type several struct{ byMethod }

func (several) Classify(r Request) ([]Call, error) {
	if string(r.Body) == "what?" {
		return nil, fmt.Errorf("cannot classify request: \x1b[31mnonsense")
	}
	var calls []Call
	for op := range strings.SplitSeq(string(r.Body), ",") {
		calls = append(calls, Call{"batch." + op, ambit.Write, ambit.Resource{Kind: "http", Segments: []string{r.Host, op}}})
	}
	return calls, nil
}

func TestEveryPartOfABatchMustPass(t *testing.T) {
	h := newHouse(t, nil, func(_ *house, c *Config) { c.Classifier = several{byMethod{limit: 64}} })
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if a.Operation == "batch.drop" {
			return ambit.Deny
		}
		return ambit.Allow
	}
	post := func(body string) (int, string) {
		resp, err := h.client().Post(h.url("/batch"), "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if code, _ := post("get,drop"); code != 403 || len(h.up.requests()) != 0 {
		t.Errorf("got %d, the upstream saw %v", code, h.up.requests())
	}
	if e := h.log.lastEnd(t); e.Outcome != ambit.Refused {
		t.Errorf("the allowed part is recorded as %v", e)
	}
	if code, _ := post("get,put,get"); code != 200 || len(h.up.requests()) != 1 || h.up.requests()[0].body != "get,put,get" {
		t.Errorf("got %d, the upstream saw %+v", code, h.up.requests())
	}
	if code, body := post("what?"); code != 403 || !strings.Contains(body, CodeUnknown) || strings.Contains(body, "\x1b") {
		t.Errorf("got %d %s", code, body)
	}
	if code, _ := post(strings.Repeat("a,", 100)); code != 403 {
		t.Errorf("a batch that is not seen whole got %d", code)
	}
	if n := len(h.up.requests()); n != 1 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"a\x1b[2Jb":            `a\u{1b}[2Jb`,
		"pay \u202etfarD":      `pay \u{202e}tfarD`,
		"zero\u200bwidth":      `zero\u{200b}width`,
		"line\u2028end\r\n":    `line\u{2028}end\u{d}\u{a}`,
		"bad \xff byte":        `bad \u{fffd} byte`,
		"tags \U000e0041":      `tags \u{e0041}`,
		"café":                 "café",
		"z\u0335algo":          `z\u{335}algo`,
		"nb\u00a0sp":           `nb\u{a0}sp`,
		strings.Repeat("é", 9): "éééé…[10 more bytes]",
	} {
		most := 64
		if strings.HasPrefix(in, "éé") {
			most = 8
		}
		if got := printable(in, most); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func TestRouteThatMayAskWithoutForesight(t *testing.T) {
	h := newHouse(t, nil, func(_ *house, c *Config) { c.Routes[0].Ask = true })
	h.change(func() { h.decide = func(*ambit.Action) ambit.Verdict { return ambit.Ask } })
	h.ask = func(q pipeline.Question) (pipeline.Answer, error) {
		if q.Action.Args["body-sha256"] == "" {
			t.Errorf("asked about %v", q.Action.Args)
		}
		return pipeline.Answer{Approved: true, By: "owner"}, nil
	}
	resp, err := h.client().Post(h.url("/x"), "", io.NopCloser(strings.NewReader("hello")))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if reqs := h.up.requests(); resp.StatusCode != 200 || len(reqs) != 1 || reqs[0].body != "hello" {
		t.Errorf("got %d, the upstream saw %v", resp.StatusCode, reqs)
	}
}

// A body that only begins as a push does is shown as it is: else a person would
// approve what they do not see.
func TestOnlyAPushIsShownAsAPush(t *testing.T) {
	h := newHouse(t, nil, withCredential, asking)
	var shown string
	h.ask = func(q pipeline.Question) (pipeline.Answer, error) {
		shown = q.Preview
		return pipeline.Answer{Pending: true, Ticket: "t1", Until: time.Now().Add(time.Minute)}, nil
	}
	for _, body := range []string{"0000&transfer=everything", "0000\ntransfer everything"} {
		resp, err := h.client("http/1.1").Post(h.url("/pay"), "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !strings.Contains(shown, "everything") {
			t.Errorf("the body %q is shown as\n%s", body, shown)
		}
	}
}

// A ref among very many is not lost without a word, and however long they are the
// first of them are all there.
func TestPushOfManyRefs(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		line := fmt.Sprintf("%040d %040d refs/heads/b%03d%s\n", 1, 2, i, strings.Repeat("x", 200))
		fmt.Fprintf(&b, "%04x%s", len(line)+4, line)
	}
	p, err := git.ReadPush([]byte(b.String() + "0000PACK"))
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{push: &push{Push: p, commits: git.ReadCommits(p.Format, nil)}, in: &inbound{header: http.Header{}}}
	got := x.pushText()
	if !strings.Contains(got, "200 refs") || !strings.Contains(got, "180 MORE REFS") || !strings.Contains(got, "refs/heads/b019") || len(got) > maxPreview-1024 {
		t.Errorf("%d bytes:\n%.400s", len(got), got)
	}
}
