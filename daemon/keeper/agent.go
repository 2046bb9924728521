package keeper

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"ambit"
)

// WhoAmI is what an agent may know of itself.
type WhoAmI struct {
	Task       ambit.TaskID `json:"task"`
	Agent      string       `json:"agent"`
	Owner      string       `json:"owner,omitempty"`
	Purpose    string       `json:"purpose,omitempty"`
	OnBehalfOf string       `json:"on_behalf_of"`
	SPIFFEID   string       `json:"spiffe_id"`
	Expires    time.Time    `json:"expires"`
	State      string       `json:"state"`
	May        string       `json:"may"` // the grants as plain English
}

// serveAgent answers the agent on its own socket. There is one question, and
// nothing that the agent sends is used for anything else.
func serveAgent(ln net.Listener, who func() WhoAmI) {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/whoami", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.Encode(who())
	})
	s := &http.Server{
		Handler: m, MaxHeaderBytes: 4 << 10,
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
	}
	s.Serve(&fewConns{Listener: ln, slots: make(chan struct{}, 8)})
}

// fewConns bounds how many connections an agent can hold open at once.
type fewConns struct {
	net.Listener
	slots chan struct{}
}

func (l *fewConns) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotConn{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

type slotConn struct {
	net.Conn
	free func()
}

func (c *slotConn) Close() error {
	c.free()
	return c.Conn.Close()
}
