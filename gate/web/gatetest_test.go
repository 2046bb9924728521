package web

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"ambit"
	"ambit/gate/gatetest"
)

// The hostile battery, over each HTTP version that an agent can speak.
func TestBattery(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		t.Run(proto, func(t *testing.T) {
			gatetest.Run(t, gatetest.Harness{Start: func(t *testing.T, s gatetest.Setup) gatetest.Gate {
				return startBattery(t, s, proto)
			}})
		})
	}
}

// batteryGate is a web gate with one client beside it, which keeps its
// connections as an agent's program would.
type batteryGate struct {
	h      *house
	client *http.Client
}

func startBattery(t *testing.T, s gatetest.Setup, proto string) gatetest.Gate {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the gate let go before the action was whole
		}
		mark := strings.TrimPrefix(r.URL.Path, "/things/")
		if r.Method == http.MethodPost {
			mark = string(body)
		}
		s.Saw(r.Context(), gatetest.Seen{Mark: mark, Credential: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")})
		w.Header().Set("Echo", r.Header.Get("Authorization"))
		_ = r.Write(w) // whatever came, back to the agent
		_, _ = io.WriteString(w, mark)
	})
	h := newHouse(t, upstream, withCredential, func(_ *house, c *Config) {
		c.Task, c.Do, c.Foresee = s.Task, s.Do, s.Foresee
		c.Alert = func(_ context.Context, kind string, a ambit.Action, detail string) {
			s.Alert(kind, describe(&a)+" "+detail)
		}
	})
	return &batteryGate{h, h.client(proto)}
}

// Attempt reads, posts or deletes a thing.
func (g *batteryGate) Attempt(ctx context.Context, e ambit.Effect, mark string) (res gatetest.Result) {
	method, path, body := http.MethodGet, "/things/"+mark, io.Reader(nil)
	switch e {
	case ambit.Write:
		method, path, body = http.MethodPost, "/things", strings.NewReader(mark)
	case ambit.Irreversible:
		method = http.MethodDelete
	}
	req, err := http.NewRequestWithContext(ctx, method, g.h.url(path), body)
	if err != nil {
		return gatetest.Result{Err: err}
	}
	req.Header.Set("Authorization", "Bearer "+fakeValue)
	resp, err := g.client.Do(req)
	if err != nil {
		return gatetest.Result{Err: err}
	}
	defer resp.Body.Close()
	var got bytes.Buffer
	_ = resp.Header.Write(&got)
	text, err := io.ReadAll(resp.Body)
	got.Write(text)
	res = gatetest.Result{Done: err == nil && resp.StatusCode == http.StatusOK, Received: got.Bytes(), Err: err}
	var a answer
	if resp.StatusCode == http.StatusForbidden && json.Unmarshal(text, &a) == nil {
		res.Code, res.Record = a.Error.Code, a.Error.Record
	}
	return res
}

// Revoke revokes the gate.
func (g *batteryGate) Revoke() { g.h.gate.Revoke() }
