package catalog

import (
	_ "embed"
	"sync"

	"ambit"
)

//go:embed data/anthropic.txt
var anthropicData string

//go:embed data/openai.txt
var openAIData string

var (
	anthropicTable = sync.OnceValue(func() *table { return mustTable(anthropicData) })
	openAITable    = sync.OnceValue(func() *table { return mustTable(openAIData) })
)

func classifyAnthropic(r *Request) ([]Call, error) {
	if c, ok, err := r.upgrade(); ok || err != nil {
		c.Effect = ambit.Irreversible // the API publishes no WebSocket
		return one(c, err)
	}
	return one(r.model(anthropicTable()), nil)
}

// classifyOpenAI knows the two WebSockets of the API, which are model calls:
// /v1/realtime, and /v1/responses, over which Codex sends what it would POST.
func classifyOpenAI(r *Request) ([]Call, error) {
	if c, ok, err := r.upgrade(); ok || err != nil {
		c.Effect = ambit.Irreversible
		if len(r.Segments) == 2 && r.Segments[0] == "v1" {
			switch r.Segments[1] {
			case "realtime":
				c = Call{"openai.realtime.connect", ambit.Read, ambit.Resource{Kind: "api", Segments: []string{"realtime"}}}
			case "responses":
				c = Call{"openai.responses.create", ambit.Read, ambit.Resource{Kind: "api", Segments: []string{"responses"}}}
			}
		}
		return one(c, err)
	}
	return one(r.model(openAITable()), nil)
}

// model classifies a request to a model's API by its table. What is listed
// there is a resource of kind api, without the first segment (a version); the
// rest is plain http.
func (r *Request) model(t *table) Call {
	e := t.find(r.Method, r.Segments)
	if e == nil || r.TrailingSlash && r.Method == "POST" && e.effect == ambit.Read {
		return r.unlisted()
	}
	return Call{e.op, e.effect, ambit.Resource{Kind: "api", Segments: r.Segments[1:]}}
}
