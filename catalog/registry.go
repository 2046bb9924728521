package catalog

import (
	_ "embed"
	"sync"

	"ambit"
)

//go:embed data/npm.txt
var npmData string

//go:embed data/pypi.txt
var pypiData string

//go:embed data/goproxy.txt
var goProxyData string

var (
	npmTable     = sync.OnceValue(func() *table { return mustTable(npmData) })
	pypiTable    = sync.OnceValue(func() *table { return mustTable(pypiData) })
	goProxyTable = sync.OnceValue(func() *table { return mustTable(goProxyData) })
)

func classifyNPM(r *Request) ([]Call, error)     { return r.registry(npmTable()) }
func classifyPyPI(r *Request) ([]Call, error)    { return r.registry(pypiTable()) }
func classifyGoProxy(r *Request) ([]Call, error) { return r.registry(goProxyTable()) }

// registry classifies a request to a package registry: reading is by URL, and
// publishing cannot be taken back.
func (r *Request) registry(t *table) ([]Call, error) {
	if c, ok, err := r.upgrade(); ok || err != nil {
		c.Effect = ambit.Irreversible // no registry publishes a WebSocket
		return one(c, err)
	}
	e := t.find(r.Method, r.Segments)
	if e == nil || r.TrailingSlash && r.Method == "POST" && e.effect == ambit.Read {
		return one(r.unlisted(), nil)
	}
	return one(Call{e.op, e.effect, r.resource()}, nil)
}
