package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ambit"
)

// Agents are programs: the real ones must work, and be refused in words.

// localHouse serves "localhost", the one name that every program resolves
// without help.
func localHouse(t *testing.T, handler http.Handler) (h *house, bundle string) {
	h = newHouse(t, handler, withCredential, func(h *house, c *Config) {
		c.Names = nameTable{"127.0.0.1": "localhost"}
		c.Routes[0].Host = "localhost"
	})
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if a.Operation == "http.delete" {
			return ambit.Deny
		}
		return ambit.Allow
	}
	bundle = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, h.auth.Bundle(), 0o600); err != nil {
		t.Fatal(err)
	}
	return h, bundle
}

func run(t *testing.T, bundle, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+bundle, "SSL_CERT_FILE="+bundle, "CURL_CA_BUNDLE="+bundle)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out.String())
	}
	return out.String()
}

// echo answers with what came, gzipped when that was asked for.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %d bytes", r.Method, r.RequestURI, len(b))
})

func TestCurl(t *testing.T) {
	h, bundle := localHouse(t, echo)
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("https://localhost:%d", h.port())
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"HTTP/1.1":         {[]string{"--http1.1", url + "/a?b=c", url + "/d"}, "GET /a?b=c 0 bytesGET /d 0 bytes"},
		"HTTP/2":           {[]string{"--http2", url + "/a?b=c", url + "/d"}, "GET /a?b=c 0 bytesGET /d 0 bytes"},
		"HTTP/1.0":         {[]string{"--http1.0", url + "/a"}, "GET /a 0 bytes"},
		"upload, expect":   {[]string{"--http1.1", "-T", big, url + "/up"}, "PUT /up 3145728 bytes"},
		"upload, HTTP/2":   {[]string{"--http2", "-T", big, url + "/up"}, "PUT /up 3145728 bytes"},
		"upload, chunked":  {[]string{"--http1.1", "-H", "Transfer-Encoding: chunked", "-T", big, url + "/up"}, "PUT /up 3145728 bytes"},
		"form":             {[]string{"-F", "x=1", url + "/form"}, "POST /form "},
		"compressed":       {[]string{"--compressed", url + "/a"}, "GET /a 0 bytes"},
		"TLS 1.2":          {[]string{"--tls-max", "1.2", url + "/a"}, "GET /a 0 bytes"},
		"placeholder":      {[]string{"-H", "Authorization: Bearer " + fakeValue, url + "/a"}, "GET /a 0 bytes"},
		"head":             {[]string{"-I", "--http1.1", url + "/a"}, "HTTP/1.1 200 OK"},
		"refusal":          {[]string{"-X", "DELETE", "-w", " %{http_code}", url + "/a"}, `"code":"denied"`},
		"refused upload":   {[]string{"--http1.1", "-X", "DELETE", "-T", big, "-w", " %{http_code}", url + "/a"}, `"code":"denied"`},
		"dots":             {[]string{"--path-as-is", url + "/a/../b"}, `"code":"bad-path"`},
		"other host":       {[]string{"--http1.1", "-H", "Host: evil.example", url + "/a"}, `"code":"names-disagree"`},
		"other host by h2": {[]string{"--http2", "-H", "Host: evil.example", url + "/a"}, `"code":"names-disagree"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(t, bundle, "curl", append([]string{"-sS", "-m", "30"}, tt.args...)...); !strings.Contains(got, tt.want) {
				t.Errorf("got %s", got)
			}
		})
	}
	for _, s := range h.up.requests() {
		if s.header.Get("Authorization") != "Bearer "+testSecret || s.method == "DELETE" || strings.Contains(s.uri, "b/..") {
			t.Errorf("the upstream saw %+v", s)
		}
	}
}

func TestNodeFetch(t *testing.T) {
	h, bundle := localHouse(t, echo)
	got := run(t, bundle, "node", "-e", fmt.Sprintf(`
(async () => {
  const u = 'https://localhost:%d';
  console.log(await (await fetch(u + '/a?x=%%20')).text());
  console.log(await (await fetch(u + '/p', {method: 'POST', body: 'x'.repeat(100000)})).text());
  const s = new ReadableStream({start(c) { c.enqueue(new TextEncoder().encode('abc')); c.close(); }});
  console.log(await (await fetch(u + '/s', {method: 'POST', body: s, duplex: 'half'})).text());
  const r = await fetch(u + '/d', {method: 'DELETE'});
  console.log(r.status, (await r.json()).error.code);
})();`, h.port()))
	if want := "GET /a?x=%20 0 bytes\nPOST /p 100000 bytes\nPOST /s 3 bytes\n403 denied\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestPythonURLLib(t *testing.T) {
	h, bundle := localHouse(t, echo)
	got := run(t, bundle, "python3", "-c", fmt.Sprintf(`
import json, urllib.error, urllib.request
u = 'https://localhost:%d'
print(urllib.request.urlopen(u + '/a').read().decode())
print(urllib.request.urlopen(u + '/p', data=b'x' * 70000).read().decode())
try:
    urllib.request.urlopen(urllib.request.Request(u + '/d', method='DELETE'))
except urllib.error.HTTPError as e:
    print(e.code, json.load(e)['error']['code'])
`, h.port()))
	if want := "GET /a 0 bytes\nPOST /p 70000 bytes\n403 denied\n"; got != want {
		t.Errorf("got %s", got)
	}
}
