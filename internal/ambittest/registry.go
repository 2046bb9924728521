package ambittest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
	"io"
)

// NewNPM starts a stand-in for an npm registry that serves packages (name to
// the text of index.js), each at version 1.0.0. Its certificate is for host.
func NewNPM(t testing.TB, ca *CA, host string, packages map[string]string) *Server {
	t.Helper()
	m := http.NewServeMux()
	for name, text := range packages {
		tgz := npmTarball(t, name, text)
		sum := sha512.Sum512(tgz)
		version := map[string]any{
			"name": name, "version": "1.0.0", "main": "index.js",
			"dist": map[string]any{
				"tarball":   fmt.Sprintf("https://%s/%s/-/%s-1.0.0.tgz", host, name, name),
				"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
			},
		}
		doc := map[string]any{
			"name": name, "dist-tags": map[string]any{"latest": "1.0.0"},
			"versions": map[string]any{"1.0.0": version},
			"time":     map[string]any{"1.0.0": "2024-01-01T00:00:00.000Z"},
		}
		m.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, doc) })
		m.HandleFunc("GET /"+name+"/-/"+name+"-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(tgz)
		})
	}
	return ServeTLS(t, ca, m, host)
}

func npmTarball(t testing.TB, name, index string) []byte {
	t.Helper()
	pkg, _ := json.Marshal(map[string]any{"name": name, "version": "1.0.0", "main": "index.js"}) // strings only
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	// Real packages bring along what is protected in a workspace.
	for _, f := range []struct{ name, text string }{{"package/.travis.yml", "language: node\n"}, {"package/.github/workflows/ci.yml", "on: push\n"},
		{"package/.vscode/settings.json", "{}\n"}, {"package/package.json", string(pkg)}, {"package/index.js", index}} {
		h := &tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text)), ModTime: time.Unix(1e9, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// NewGoProxy starts a stand-in for a Go module proxy
// (go.dev/ref/mod#goproxy-protocol) that serves one module at v1.0.0 with
// files (path to content; go.mod must be among them). Its certificate is for
// host.
func NewGoProxy(t testing.TB, ca *CA, host, path string, files map[string]string) *Server {
	t.Helper()
	v := module.Version{Path: path, Version: "v1.0.0"}
	var list []zip.File
	for name, text := range files {
		list = append(list, textFile{name, text})
	}
	slices.SortFunc(list, func(a, b zip.File) int { return bytes.Compare([]byte(a.Path()), []byte(b.Path())) })
	var archive bytes.Buffer
	if err := zip.Create(&archive, v, list); err != nil {
		t.Fatal(err)
	}
	m := http.NewServeMux()
	at := "GET /" + path + "/@v/"
	serve := func(name string, b []byte) {
		m.HandleFunc(at+name, func(w http.ResponseWriter, _ *http.Request) { w.Write(b) })
	}
	serve("list", []byte("v1.0.0\n"))
	serve("v1.0.0.info", []byte(`{"Version":"v1.0.0","Time":"2024-01-01T00:00:00Z"}`))
	serve("v1.0.0.mod", []byte(files["go.mod"]))
	serve("v1.0.0.zip", archive.Bytes())
	return ServeTLS(t, ca, m, host)
}
