package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// maxBody bounds a request of a person, in bytes.
const maxBody = 64 << 10

// Fault is an error that a person's request caused, with its HTTP status.
type Fault struct {
	Status int    `json:"-"`
	Msg    string `json:"error"`
}

// Error returns the message.
func (f *Fault) Error() string { return f.Msg }

// Handler serves the table.
func Handler(d Desk) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/status", call(func(r *http.Request) (any, error) { return d.Status(r.Context()) }))
	m.HandleFunc("GET /v1/trust", call(func(r *http.Request) (any, error) { return d.Trust(r.Context()) }))
	m.HandleFunc("GET /v1/tasks", call(func(r *http.Request) (any, error) { return d.Tasks(r.Context(), all(r)) }))
	m.HandleFunc("POST /v1/revoke", body(d.Revoke))
	m.HandleFunc("GET /v1/leases", call(func(r *http.Request) (any, error) { return d.Leases(r.Context(), all(r)) }))
	m.HandleFunc("POST /v1/leases/write-off", body(d.WriteOff))
	m.HandleFunc("GET /v1/questions", call(func(r *http.Request) (any, error) { return d.Questions(r.Context(), all(r)) }))
	m.HandleFunc("GET /v1/questions/{ticket}", call(func(r *http.Request) (any, error) {
		return d.Question(r.Context(), r.PathValue("ticket"))
	}))
	m.HandleFunc("POST /v1/resolve", body(d.Resolve))
	m.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) { watch(d, w, r) })
	m.HandleFunc("POST /v1/stop", call(func(r *http.Request) (any, error) { return struct{}{}, d.Stop(r.Context()) }))
	return m
}

func all(r *http.Request) bool { return r.URL.Query().Get("all") == "1" }

func call(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		answer(w, v, err)
	}
}

func body[In, Out any](f func(context.Context, In) (Out, error)) http.HandlerFunc {
	return call(func(r *http.Request) (any, error) {
		var in In
		d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return nil, &Fault{http.StatusBadRequest, "cannot read the request: " + err.Error()}
		}
		if _, err := d.Token(); err != io.EOF {
			return nil, &Fault{http.StatusBadRequest, "cannot read the request: there are bytes after the JSON value"}
		}
		return f(r.Context(), in)
	})
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f, ok := errors.AsType[*Fault](err)
		if !ok {
			f = &Fault{http.StatusInternalServerError, err.Error()}
		}
		w.WriteHeader(f.Status)
		v = f
	}
	json.NewEncoder(w).Encode(v)
}

// watch streams questions as they change, one JSON object a line.
func watch(d Desk, w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	c.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	c.Flush()
	e := json.NewEncoder(w)
	d.Watch(r.Context(), func(q Question) error {
		if err := e.Encode(q); err != nil {
			return err
		}
		return c.Flush()
	})
}
