package ambittest

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// Step is one turn of a scripted model: a tool call. What the tool answered
// is found at the same place in [Model.Results].
type Step struct {
	Tool  string         // the tool's name as the agent program offers it
	Input map[string]any // its arguments
	Text  string         // for free-form tools: the whole input
}

// Model is a scripted model endpoint. It gives the steps in order, one for
// each answer that the agent program sends back, and ends with a last word.
// Requests beside the main conversation get a harmless answer.
type Model struct {
	*Server
	steps []Step
	last  string

	mu      sync.Mutex
	results []string
	offered map[string]bool
	told    map[string][]string // by response id: the tool answers so far
}

// NewAnthropic starts a stand-in for the Anthropic Messages API
// (POST /v1/messages, streamed and whole, and /v1/messages/count_tokens), and
// for what Claude Code asks about a page's domain. Its certificate is for names.
func NewAnthropic(t testing.TB, ca *CA, steps []Step, names ...string) *Model {
	t.Helper()
	m := &Model{steps: steps, last: "All steps are done."}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", m.messages)
	mux.HandleFunc("POST /v1/messages/count_tokens", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"input_tokens": 100})
	})
	mux.HandleFunc("GET /api/web/domain_info", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, 200, map[string]any{"domain": r.FormValue("domain"), "can_fetch": true})
	})
	m.Server = ServeTLS(t, ca, needKey(mux, "X-Api-Key"), names...)
	return m
}

// NewOpenAI starts a stand-in for the OpenAI Responses API
// (POST /v1/responses, streamed, and the same over a WebSocket). Its certificate is for names.
func NewOpenAI(t testing.TB, ca *CA, steps []Step, names ...string) *Model {
	t.Helper()
	m := &Model{steps: steps, last: "All steps are done."}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/responses", m.responses)
	mux.HandleFunc("GET /v1/responses", m.socket)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, map[string]any{"object": "list", "data": []any{}, "models": []any{}})
	})
	m.Server = ServeTLS(t, ca, needKey(mux, "Authorization"), names...)
	return m
}

// needKey refuses requests without a credential, as the real services do.
func needKey(h http.Handler, header string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(header) == "" && r.Header.Get("Authorization") == "" {
			writeJSON(w, 401, map[string]any{"type": "error", "error": map[string]any{"type": "authentication_error", "message": "no key"}})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Results returns what the tools answered, one for each step that came back.
func (m *Model) Results() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.results)
}

// Offered returns the names of all tools that the agent program offered.
func (m *Model) Offered() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.offered {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// next takes the answers that a request carries, in order, and returns the
// step that follows them. Counting the answers instead of the requests makes
// a repeated request get the same step again.
func (m *Model) next(results, tools []string) (Step, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(results) > len(m.results) {
		m.results = results
	}
	if m.offered == nil {
		m.offered = map[string]bool{}
	}
	for _, n := range tools {
		m.offered[n] = true
	}
	if len(results) >= len(m.steps) {
		return Step{}, false
	}
	return m.steps[len(results)], true
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// textOf returns the text of content that is a string or a list of blocks.
func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var blocks []struct{ Text string }
	if json.Unmarshal(raw, &blocks) != nil {
		return string(raw)
	}
	for _, b := range blocks {
		s += b.Text
	}
	return s
}
