package web

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// credentialFields are where agents put credentials of their own.
var credentialFields = map[string]bool{
	"Authorization":        true,
	"Cookie":               true,
	"X-Api-Key":            true,
	"Api-Key":              true,
	"Apikey":               true,
	"X-Auth-Token":         true,
	"X-Access-Token":       true,
	"X-Goog-Api-Key":       true,
	"X-Github-Token":       true,
	"X-Vault-Token":        true,
	"Private-Token":        true,
	"Job-Token":            true,
	"Deploy-Token":         true,
	"X-Amz-Security-Token": true,
}

// framingFields are no place for a credential.
var framingFields = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Upgrade": true, "Expect": true,
	"Te": true, "Trailer": true, "Keep-Alive": true,
}

// credentialParams are the same in a query, in lower case.
var credentialParams = map[string]bool{
	"access_token": true, "private_token": true, "job_token": true, "api_key": true, "apikey": true,
	"api-key": true, "auth_token": true, "x-api-key": true,
}

// check says what is wrong with an injection rule.
func (i *Inject) check(needed bool) error {
	n := 0
	for _, s := range []string{i.Header, i.Basic, i.Query} {
		if s != "" {
			n++
		}
	}
	switch {
	case !needed && n == 0:
		return nil
	case !needed:
		return errors.New("it injects, but the service has no credential")
	case n != 1:
		return errors.New("its credential goes to exactly one of a header, basic and a query parameter")
	case i.Header != "" && !isToken([]byte(i.Header)):
		return errors.New("its injected header has no proper name")
	case framingFields[textproto.CanonicalMIMEHeaderKey(i.Header)]:
		return errors.New("its injected header says where a request ends or goes")
	case i.Format != "" && (i.Header == "" || strings.Count(i.Format, "{}") != 1 || !plainASCII(i.Format)):
		return errors.New(`its format needs a header, and "{}" once`)
	case strings.Contains(i.Basic, ":") || !plainASCII(i.Basic):
		return errors.New("its basic user name is not plain")
	}
	i.Header = textproto.CanonicalMIMEHeaderKey(i.Header)
	return nil
}

// apply puts the secret into a request. The errors never hold it.
func (i *Inject) apply(h http.Header, u *url.URL, secret []byte) error {
	if len(secret) == 0 {
		return errors.New("cannot inject the credential: it is empty")
	}
	if len(secret) > maxSecret {
		return errors.New("cannot inject the credential: it is longer than 8 KiB")
	}
	for _, c := range secret {
		// A line end would let whoever sets the credential write fields.
		if c < 0x20 || c == 0x7f {
			return errors.New("cannot inject the credential: it holds a control character; store it without a line end")
		}
	}
	switch {
	case i.Header != "":
		h[i.Header] = []string{strings.Replace(orElse(i.Format, "{}"), "{}", string(secret), 1)}
	case i.Basic != "":
		h["Authorization"] = []string{"Basic " + base64.StdEncoding.EncodeToString(append([]byte(i.Basic+":"), secret...))}
	case i.Query != "":
		p := url.QueryEscape(i.Query) + "=" + url.QueryEscape(string(secret))
		if u.RawQuery != "" {
			p = u.RawQuery + "&" + p
		}
		u.RawQuery = p
	default:
		return errors.New("cannot inject the credential: the route does not say where")
	}
	return nil
}

// stripCredentials removes what the agent sent in place of the credential: its
// placeholder, or a key of its own on a service that it should use as us only.
func (r *route) stripCredentials(h http.Header, t *target) *refusal {
	for k := range h {
		// CGI and WSGI read "X_Key" as "X-Key".
		n := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(k, "_", "-"))
		if credentialFields[n] || n == r.Inject.Header {
			delete(h, k)
		}
	}
	if t.query == "" {
		return nil
	}
	kept := make([]string, 0, 8)
	for p := range strings.SplitSeq(t.query, "&") {
		name, _, _ := strings.Cut(p, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return badPath("the query has a broken percent escape")
		}
		switch {
		case r.Inject.Query != "" && name == r.Inject.Query:
			continue
		case credentialParams[strings.ToLower(name)]:
			return &refusal{code: CodeOverride, why: "the query holds a credential of its own, but this service is used with the task's",
				instead: "Leave the parameter out; the credential is added for you."}
		}
		kept = append(kept, p)
	}
	t.query = strings.Join(kept, "&")
	t.hasQuery = t.hasQuery && t.query != ""
	return nil
}
