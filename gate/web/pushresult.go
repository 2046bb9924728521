package web

import (
	"io"
	"net/http"

	"ambit"
	"ambit/catalog/git"
)

// keptBody keeps the beginning of what is read from it.
type keptBody struct {
	io.ReadCloser
	b []byte
}

// Read reads, and keeps.
func (k *keptBody) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	k.b = append(k.b, p[:min(n, git.MaxAnswered-len(k.b))]...)
	return n, err
}

// listen keeps what the server says of a push while it passes on to the agent; what it
// returns reads it. The credential is blanked in it like in what passes on: the server may
// have put it into its words, in pieces that are one only here.
func (x *exchange) listen(resp *http.Response, m *matcher) func() {
	if x.push == nil || resp.StatusCode != http.StatusOK || compressed(resp) || !x.push.CanReport() {
		return func() {}
	}
	kept := &keptBody{ReadCloser: resp.Body}
	resp.Body = kept
	return func() {
		a, err := x.push.ReadAnswered(kept.b)
		if err != nil {
			return
		}
		a.Unpack = blanked(a.Unpack, m)
		for ref, why := range a.Reason {
			a.Reason[ref] = blanked(why, m)
		}
		x.push.answered = &a
	}
}

func blanked(s string, m *matcher) string {
	if m == nil {
		return s
	}
	b := []byte(s)
	m.scrub(b)
	return string(b)
}

// became is the outcome of an action that was a part of what was performed. A server
// that answers 200 may have refused a ref all the same: the log must not say that it was
// moved.
func (x *exchange) became(a *ambit.Action) (ambit.Outcome, string) {
	if x.push == nil || x.push.answered == nil || x.outcome != ambit.Performed {
		return x.outcome, x.detail
	}
	c, ok := x.command(a)
	if !ok {
		return x.outcome, x.detail
	}
	if why, no := x.push.answered.Reason[c.Ref]; no {
		return ambit.Failed, x.detail + ", the server refused it: " + printable(why, 200)
	}
	if u := x.push.answered.Unpack; u != "ok" && !x.push.answered.Done[c.Ref] {
		return ambit.Failed, x.detail + ", the server did nothing: " + printable(u, 200)
	}
	return x.outcome, x.detail
}
