// Command api is the notes service of the quickstart: a small JSON API over
// HTTPS that wants a bearer token and says at the end what it has seen.
//
//	api DIR
//
// It listens on a free port of 127.0.0.1, writes DIR/ca.pem and then DIR/address
// and keeps DIR/seen up to date. The token is read from NOTES_TOKEN.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

func main() {
	if len(os.Args) != 2 || os.Getenv("NOTES_TOKEN") == "" {
		log.Fatal("usage: NOTES_TOKEN=… api DIR")
	}
	if err := serve(os.Args[1], os.Getenv("NOTES_TOKEN")); err != nil {
		log.Fatal(err)
	}
}

func serve(dir, token string) error {
	cert, err := certificate(filepath.Join(dir, "ca.pem"), "notes.example.com")
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "address"), []byte(l.Addr().String()), 0o644); err != nil {
		return err
	}
	n := &notes{token: token, seen: filepath.Join(dir, "seen"), all: map[string]note{
		"1": {"Water the plants."}, "2": {"An old note."},
	}, next: 3}
	return http.Serve(l, n.handler())
}

type note struct {
	Text string `json:"text"`
}

// notes is the whole service.
type notes struct {
	token, seen string

	mu   sync.Mutex
	all  map[string]note
	next int
}

func (n *notes) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /notes", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, n.all) })
	m.HandleFunc("POST /notes", n.post)
	m.HandleFunc("GET /notes/{id}", n.get)
	m.HandleFunc("PUT /notes/{id}", n.put)
	m.HandleFunc("DELETE /notes/{id}", n.remove)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		ok := r.Header.Get("Authorization") == "Bearer "+n.token
		if err := n.note(r, ok); err != nil {
			answer(w, 500, err.Error())
			return
		}
		if !ok {
			answer(w, 401, "the token is missing or wrong")
			return
		}
		m.ServeHTTP(w, r)
	})
}

// note appends one line about a request to the file of what was seen.
func (n *notes) note(r *http.Request, ok bool) error {
	f, err := os.OpenFile(n.seen, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	with := "without the token"
	if ok {
		with = "with the real token"
	}
	_, err = fmt.Fprintln(f, r.Method, r.URL.Path, with)
	return err
}

func (n *notes) post(w http.ResponseWriter, r *http.Request) {
	var v note
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		answer(w, 400, err.Error())
		return
	}
	id := strconv.Itoa(n.next)
	n.next++
	n.all[id] = v
	answer(w, 201, map[string]string{"id": id})
}

func (n *notes) get(w http.ResponseWriter, r *http.Request) {
	v, ok := n.all[r.PathValue("id")]
	if !ok {
		answer(w, 404, "no such note")
		return
	}
	answer(w, 200, v)
}

func (n *notes) put(w http.ResponseWriter, r *http.Request) {
	var v note
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		answer(w, 400, err.Error())
		return
	}
	n.all[r.PathValue("id")] = v
	answer(w, 200, v)
}

func (n *notes) remove(w http.ResponseWriter, r *http.Request) {
	delete(n.all, r.PathValue("id"))
	w.WriteHeader(204)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// certificate makes an authority of its own, writes it to file, and returns a
// server's certificate for name and 127.0.0.1.
func certificate(file, name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Ambit quickstart"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
