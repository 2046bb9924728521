package ambittest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// response is what the stand-in reads of a Responses request.
type response struct {
	Model    string
	Generate *bool  // false only warms the connection up
	Previous string `json:"previous_response_id"`
	Tools    []tool
	Input    []struct {
		Type   string
		Output json.RawMessage
		Tools  []tool // of an "additional_tools" item
	}
}

type tool struct {
	Type, Name string
	Tools      []tool // of a namespace
}

// names lists the tools, those of namespaces too.
func names(tools []tool) (out []string) {
	for _, t := range tools {
		if t.Type == "namespace" {
			out = append(out, names(t.Tools)...)
		} else {
			out = append(out, t.Name)
		}
	}
	return out
}

// responses answers POST /v1/responses with a stream of events.
func (m *Model) responses(w http.ResponseWriter, r *http.Request) {
	var q response
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		writeJSON(w, 400, map[string]any{"error": map[string]any{"message": err.Error(), "type": "invalid_request_error"}})
		return
	}
	m.respond(&q, newEvents(w).send)
}

// socket answers GET /v1/responses: the same requests and events as messages
// of a WebSocket.
func (m *Model) socket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(MaxSeenBody)
	for {
		_, b, err := c.Read(r.Context())
		if err != nil {
			return
		}
		m.keepMessage(r, b)
		var q response
		if err := json.Unmarshal(b, &q); err != nil {
			c.Close(websocket.StatusInvalidFramePayloadData, "not JSON")
			return
		}
		m.respond(&q, func(kind string, v map[string]any) {
			v["type"] = kind
			b, _ := json.Marshal(v) // made of strings, numbers and maps of them
			c.Write(r.Context(), websocket.MessageText, b)
		})
	}
}

// keepMessage remembers a WebSocket message as a request of its own.
func (m *Model) keepMessage(r *http.Request, b []byte) {
	m.Server.mu.Lock()
	defer m.Server.mu.Unlock()
	m.Server.seen = append(m.Server.seen, Seen{Time: time.Now(), Method: "MESSAGE", Host: r.Host, URL: r.RequestURI, Header: r.Header.Clone(), Body: b, Size: int64(len(b))})
}

// respond sends the events of one response with at most one output item.
func (m *Model) respond(q *response, send func(string, map[string]any)) {
	id, results := m.follow(q)
	res := map[string]any{"id": id, "object": "response", "model": q.Model, "status": "in_progress", "output": []any{}}
	send("response.created", map[string]any{"response": res})
	if q.Generate == nil || *q.Generate {
		tools := names(q.Tools)
		for _, i := range q.Input {
			tools = append(tools, names(i.Tools)...)
		}
		item := m.item(results, tools)
		send("response.output_item.added", map[string]any{"output_index": 0, "item": item})
		send("response.output_item.done", map[string]any{"output_index": 0, "item": item})
		res["output"] = []any{item}
	}
	res["status"] = "completed"
	res["usage"] = map[string]any{
		"input_tokens": 10, "input_tokens_details": map[string]any{"cached_tokens": 0},
		"output_tokens": 10, "output_tokens_details": map[string]any{"reasoning_tokens": 0}, "total_tokens": 20,
	}
	send("response.completed", map[string]any{"response": res})
}

// follow names the response and lists all tool answers of its conversation:
// a request that names a previous response carries only what came since.
func (m *Model) follow(q *response) (id string, results []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told == nil {
		m.told = map[string][]string{}
	}
	results = slices.Clone(m.told[q.Previous])
	for _, i := range q.Input {
		if i.Type == "function_call_output" || i.Type == "custom_tool_call_output" {
			results = append(results, textOf(i.Output))
		}
	}
	id = fmt.Sprintf("resp_%04d", len(m.told))
	m.told[id] = results
	return id, results
}

// item is the next step as an output item, or the last word.
func (m *Model) item(results, tools []string) map[string]any {
	s, ok := m.next(results, tools)
	n := len(results)
	switch {
	case !ok:
		return map[string]any{
			"type": "message", "id": fmt.Sprintf("msg_%04d", n), "role": "assistant", "status": "completed",
			"content": []any{map[string]any{"type": "output_text", "text": m.last, "annotations": []any{}}},
		}
	case s.Input == nil:
		return map[string]any{
			"type": "custom_tool_call", "id": fmt.Sprintf("ctc_%04d", n), "call_id": fmt.Sprintf("call_%04d", n),
			"name": s.Tool, "input": s.Text, "status": "completed",
		}
	}
	args, _ := json.Marshal(s.Input) // made of strings and numbers
	return map[string]any{
		"type": "function_call", "id": fmt.Sprintf("fc_%04d", n), "call_id": fmt.Sprintf("call_%04d", n),
		"name": s.Tool, "arguments": string(args), "status": "completed",
	}
}
