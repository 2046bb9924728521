package github

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// maxAnswer bounds an answer, in bytes. One that lists 500 repositories, each with
// all that GitHub says of it, has about 3 MiB.
const maxAnswer = 8 << 20

// answer is what GitHub said.
type answer struct {
	status int
	date   time.Time // of GitHub's clock; zero when it did not say
	body   []byte    // the caller's own
}

// lostError is a request that was sent and whose answer never came whole: what it
// asked for may have been done.
type lostError struct{ error }

// Unwrap returns what went wrong.
func (e lostError) Unwrap() error { return e.error }

func newClient(c Config) (*http.Client, error) {
	u, err := url.Parse(c.API)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%.100q is not the https address of an API", c.API)
	}
	t := &http.Transport{
		ForceAttemptHTTP2: true, DisableCompression: true, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: askTime, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(c.Roots) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(c.Roots) {
			return nil, errors.New("its ca holds no certificate in PEM form")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	if c.Dial != "" {
		d := &net.Dialer{Timeout: 10 * time.Second}
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, c.Dial)
		}
	}
	return &http.Client{
		Transport: t, Timeout: askTime,
		// A credential never follows to where an answer points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// call asks the API once. The error is a lostError when the request left.
func (p *Provider) call(ctx context.Context, method, path, auth string, body any) (a answer, err error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return a, err
		}
		in = bytes.NewReader(b)
	}
	ctx, stop := context.WithTimeout(ctx, askTime)
	defer stop()
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { left.Store(true) }})
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.c.API, "/")+path, in)
	if err != nil {
		return a, err
	}
	r.Header = http.Header{
		"Authorization": {auth}, "Accept": {"application/vnd.github+json"}, "X-Github-Api-Version": {"2022-11-28"}, "User-Agent": {"ambit"},
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := p.client.Do(r)
	if err == nil {
		a, err = read(res)
	}
	if err != nil {
		err = withoutSecret(err, auth)
	}
	if err != nil && left.Load() {
		err = lostError{err}
	}
	return a, err
}

// withoutSecret keeps an error that repeats what was sent from repeating the credential:
// net/http quotes an answer that it cannot read.
func withoutSecret(err error, auth string) error {
	if _, secret, _ := strings.Cut(auth, " "); strings.Contains(err.Error(), secret) {
		return errors.New("GitHub's answer cannot be read, and holds the credential")
	}
	return err
}

func read(res *http.Response) (a answer, err error) {
	defer res.Body.Close()
	a.status = res.StatusCode
	a.date, _ = http.ParseTime(res.Header.Get("Date")) // zero when it does not say
	a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(a.body) > maxAnswer {
		clear(a.body)
		err = fmt.Errorf("GitHub's answer has more than %d bytes", maxAnswer)
	}
	return a, err
}

// refusal says whether nothing was done of what was asked for. A proxy that answers
// in time's place (408) knows nothing of that.
func (a answer) refusal() bool {
	return a.status >= 400 && a.status < 500 && a.status != http.StatusRequestTimeout
}

// asApp asks with the App's own token, and once more when it is refused and the two
// clocks differ.
func (p *Provider) asApp(ctx context.Context, k *rsa.PrivateKey, method, path string, body any) (answer, error) {
	for again := false; ; again = true {
		token, err := p.jwt(k)
		if err != nil {
			return answer{}, err
		}
		a, err := p.call(ctx, method, path, "Bearer "+token, body)
		if err != nil || a.status != http.StatusUnauthorized || again {
			return a, err
		}
		changed, err := p.adjust(a)
		if err != nil {
			return a, err
		}
		if !changed {
			return a, nil
		}
	}
}

// said is an error that repeats what GitHub said, as far as it is plain text.
func (a answer) said(what string) error {
	var m struct{ Message string }
	text := ""
	if json.Unmarshal(a.body, &m) == nil && m.Message != "" {
		text = ": " + plain(m.Message, 200)
	}
	return fmt.Errorf("%s (GitHub answers %d%s)", what, a.status, text)
}

// maxWord is how long a word of the other side's may be to be repeated: its tokens are
// longer, and a proxy before it may send back what it was sent.
const maxWord = 32

// plain is text of the other side, bounded and without control characters, and without
// words that could be a credential.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	var b strings.Builder
	for len(s) > 0 && b.Len() < most {
		n := strings.IndexFunc(s, func(r rune) bool { return !wordRune(r) })
		switch {
		case n < 0:
			n = len(s)
		case n == 0:
			n = 1
		}
		if n > maxWord {
			b.WriteString("...")
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	out := b.String()
	return out[:min(len(out), most)]
}

func wordRune(r rune) bool {
	return r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.+=", r)
}
