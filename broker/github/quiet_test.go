package github

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestReflectedCredentials has what answers in GitHub's place send back what it was
// sent: no error repeats a credential, as errors go into the log and to the person. What
// else it says is repeated.
func TestReflectedCredentials(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, string){
		"as it is": func(rw http.ResponseWriter, auth string) {
			rw.WriteHeader(403)
			fmt.Fprintf(rw, `{"message":"refused by policy 7: header Authorization: %s is not allowed"}`, auth)
		},
		"within a word": func(rw http.ResponseWriter, auth string) {
			rw.WriteHeader(403)
			fmt.Fprintf(rw, `{"message":"refused by policy 7: x=%s;y"}`, strings.TrimPrefix(auth, "Bearer "))
		},
		"where it is cut": func(rw http.ResponseWriter, auth string) {
			rw.WriteHeader(403)
			fmt.Fprintf(rw, `{"message":"refused by policy 7: %s%s"}`, strings.Repeat("x ", 75), auth)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var sent []string
			p, o := w.provider(nil), order(1)
			c, err := p.Mint(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			w.Fault(func(rw http.ResponseWriter, r *http.Request) bool {
				_, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
				sent = append(sent, secret)
				answer(rw, r.Header.Get("Authorization"))
				return true
			})
			l := leaseOf(o, c.Handle)
			_, minted := p.Mint(t.Context(), order(2))
			usable, proved := p.Prove(t.Context(), l)
			errs := []error{minted, p.Revoke(t.Context(), l), proved, p.Renew(t.Context(), l, time.Now().Add(time.Minute))}
			if !usable || len(sent) < 4 {
				t.Errorf("usable %v after %d requests", usable, len(sent))
			}
			for i, err := range errs {
				if err == nil {
					t.Errorf("%d: no error", i)
					continue
				}
				for _, s := range sent {
					// A part that somebody could go on from is too much already.
					for _, part := range []string{s, s[:20], s[len(s)-20:]} {
						if strings.Contains(err.Error(), part) {
							t.Errorf("%d: the error holds the credential: %v", i, err)
						}
					}
				}
				if strings.HasPrefix(name, "as") && !strings.Contains(err.Error(), "refused by policy 7: header Authorization: Bearer ...") {
					t.Errorf("%d: it does not say why: %v", i, err)
				}
			}
			w.Fault(nil)
			w.ended(p, l)
		})
	}
}

// TestUnreadableAnswer: net/http quotes an answer that it cannot read.
func TestUnreadableAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return // the test is over
		}
		defer c.Close()
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			fmt.Fprintf(c, "%s\r\n\r\n", r.Header.Get("Authorization"))
		}
	}()
	p := &Provider{client: &http.Client{}, c: Config{API: "http://" + l.Addr().String()}}
	const secret = "ghs_0123456789abcdefghijABCDEFGHIJ012345"
	_, err = p.call(t.Context(), "GET", "/x", "Bearer "+secret, nil)
	if _, lost := errors.AsType[lostError](err); !lost || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
}
