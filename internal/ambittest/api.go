package ambittest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// API is a stand-in for a JSON API over HTTPS. Everything wants the bearer
// token:
//
//	/items, /items/{id}   GET, POST, PUT, PATCH, DELETE of small JSON objects
//	/reflect              the request's own headers, in the answer's body and header
//	/events?n=3           server-sent events, 20 ms apart
//	/echo                 a WebSocket that sends each message back
//	/slow?ms=500          an answer after a while
//	/download?bytes=1000  that many bytes
//	/upload               POST; the size and SHA-256 of what came
//	/redirect?to=URL      302
type API struct {
	*Server
	Token Canary

	mu    sync.Mutex
	items map[string]json.RawMessage
	next  int
}

// NewAPI starts one. Its certificate is for names.
func NewAPI(t testing.TB, ca *CA, names ...string) *API {
	t.Helper()
	a := &API{Token: NewCanary("API token"), items: map[string]json.RawMessage{}}
	m := http.NewServeMux()
	m.HandleFunc("GET /items", a.list)
	m.HandleFunc("POST /items", a.create)
	m.HandleFunc("GET /items/{id}", a.get)
	m.HandleFunc("PUT /items/{id}", a.put)
	m.HandleFunc("PATCH /items/{id}", a.put)
	m.HandleFunc("DELETE /items/{id}", a.remove)
	m.HandleFunc("/reflect", reflect)
	m.HandleFunc("GET /events", eventStream)
	m.HandleFunc("GET /echo", echo)
	m.HandleFunc("GET /slow", slow)
	m.HandleFunc("GET /download", download)
	m.HandleFunc("POST /upload", upload)
	m.HandleFunc("GET /redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	a.Server = ServeTLS(t, ca, a.authorized(m), names...)
	return a
}

func (a *API) authorized(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+a.Token.Value {
			writeJSON(w, 401, map[string]any{"error": "a valid token is needed"})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Items returns what the API holds now, by id.
func (a *API) Items() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]string{}
	for k, v := range a.items {
		out[k] = string(v)
	}
	return out
}

// Put stores an item, as if it had always been there.
func (a *API) Put(id, value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items[id] = json.RawMessage(value)
}

func (a *API) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	all := maps.Clone(a.items)
	a.mu.Unlock()
	writeJSON(w, 200, all)
}

func (a *API) create(w http.ResponseWriter, r *http.Request) {
	var v json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		writeJSON(w, 400, map[string]any{"error": err.Error()})
		return
	}
	a.mu.Lock()
	a.next++
	id := "new" + strconv.Itoa(a.next)
	a.items[id] = v
	a.mu.Unlock()
	writeJSON(w, 201, map[string]any{"id": id})
}

func (a *API) get(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	v, ok := a.items[r.PathValue("id")]
	a.mu.Unlock()
	if !ok {
		writeJSON(w, 404, map[string]any{"error": "no such item"})
		return
	}
	writeJSON(w, 200, v)
}

func (a *API) put(w http.ResponseWriter, r *http.Request) {
	var v json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		writeJSON(w, 400, map[string]any{"error": err.Error()})
		return
	}
	a.Put(r.PathValue("id"), string(v))
	writeJSON(w, 200, v)
}

func (a *API) remove(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	delete(a.items, r.PathValue("id"))
	a.mu.Unlock()
	w.WriteHeader(204)
}

// reflect shows the request's headers, the credential too: what a debugging
// endpoint does.
func reflect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-You-Sent", r.Header.Get("Authorization"))
	writeJSON(w, 200, r.Header)
}

func eventStream(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	e := newEvents(w)
	for i := range min(n, 1000) {
		e.send("tick", map[string]any{"n": i})
		time.Sleep(20 * time.Millisecond)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, b); err != nil {
			return
		}
	}
}

func slow(w http.ResponseWriter, r *http.Request) {
	ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
	select {
	case <-time.After(time.Duration(min(ms, 60_000)) * time.Millisecond):
		writeJSON(w, 200, map[string]any{"waited": ms})
	case <-r.Context().Done():
	}
}

func download(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	io.CopyN(w, zeros{}, n)
}

func upload(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		writeJSON(w, 400, map[string]any{"error": fmt.Sprint(err)})
		return
	}
	writeJSON(w, 200, map[string]any{"bytes": n, "sha256": hex.EncodeToString(h.Sum(nil))})
}

// zeros is an endless reader of the letter z.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'z'
	}
	return len(p), nil
}
