package web

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	"ambit"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func TestRequestPassesAndIsRecorded(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			h := newHouse(t, nil, withCredential)
			c := h.client(proto)
			for range 3 {
				req, _ := http.NewRequest("POST", h.url("/repos/acme%20x/web?x=1&y=%2F"), strings.NewReader("hello"))
				req.Header.Set("Authorization", "token "+fakeValue)
				req.Header.Set("X-Keep", "kept")
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || string(b) != "ok POST /repos/acme%20x/web?x=1&y=%2F" {
					t.Fatalf("got %d %q", resp.StatusCode, b)
				}
			}
			reqs := h.up.requests()
			if len(reqs) != 3 {
				t.Fatalf("the upstream saw %d requests", len(reqs))
			}
			s := reqs[2]
			if s.body != "hello" || s.host != h.authority() || s.header.Get("X-Keep") != "kept" {
				t.Errorf("the upstream saw %+v", s)
			}
			if got := s.header.Get("Authorization"); got != "Bearer "+testSecret {
				t.Errorf("the upstream saw Authorization %q", got)
			}
			if s.header.Get("User-Agent") == "" {
				t.Error("the agent's User-Agent was lost")
			}
			eventually(t, "third outcome", func() bool { _, _, e := h.log.counts(); return e == 3 })
			in := h.log.intended()[0]
			if in.Operation != "http.post" || in.Effect != ambit.Write || in.Resource.String() != h.authority()+"/repos/acme x/web" {
				t.Errorf("recorded %+v", in)
			}
			if in.Args["url"] != h.url("/repos/acme%20x/web?x=1&y=%2F") || in.Args["method"] != "POST" {
				t.Errorf("recorded args %v", in.Args)
			}
		})
	}
}

func TestDenialIsA403WithItsRecord(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			h := newHouse(t, nil)
			h.decide = func(a *ambit.Action) ambit.Verdict {
				if a.Operation == "http.delete" {
					return ambit.Deny
				}
				return ambit.Allow
			}
			c := h.client(proto)
			req, _ := http.NewRequest("DELETE", h.url("/repos/acme/web"), nil)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var a answer
			if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 403 || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Ambit-Record") != "r1" {
				t.Errorf("got %d %v", resp.StatusCode, resp.Header)
			}
			e := a.Error
			if e.Code != "denied" || e.Record != "r1" || !strings.Contains(e.Refused, "http.delete "+h.authority()+"/repos/acme/web") ||
				e.Why == "" || e.Instead == "" {
				t.Errorf("got %+v", e)
			}
			if n := len(h.up.requests()); n != 0 {
				t.Errorf("the upstream saw %d requests", n)
			}
			if code, _ := get(t, c, h.url("/repos/acme/web")); code != 200 {
				t.Errorf("the connection is of no use after a refusal: %d", code)
			}
		})
	}
}
