package ambittest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// message is what the stand-in reads of a Messages request.
type message struct {
	Model    string
	Stream   bool
	Tools    []struct{ Name string }
	Messages []struct {
		Role    string
		Content json.RawMessage
	}
}

// toolResults lists the text of the tool results, in order.
func (m *message) toolResults() (out []string) {
	for _, msg := range m.Messages {
		var blocks []struct {
			Type    string
			Content json.RawMessage
		}
		if json.Unmarshal(msg.Content, &blocks) != nil {
			continue
		}
		for _, b := range blocks {
			if b.Type == "tool_result" {
				out = append(out, textOf(b.Content))
			}
		}
	}
	return out
}

// messages answers POST /v1/messages. A request without tools is not the main
// conversation (a title, a summary, a check of the key).
func (m *Model) messages(w http.ResponseWriter, r *http.Request) {
	var q message
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		writeJSON(w, 400, map[string]any{"type": "error", "error": map[string]any{"type": "invalid_request_error", "message": err.Error()}})
		return
	}
	block, stop := map[string]any{"type": "text", "text": "ok"}, "end_turn"
	if len(q.Tools) > 0 {
		var tools []string
		for _, t := range q.Tools {
			tools = append(tools, t.Name)
		}
		results := q.toolResults()
		if s, ok := m.next(results, tools); ok {
			block = map[string]any{"type": "tool_use", "id": fmt.Sprintf("toolu_%04d", len(results)), "name": s.Tool, "input": s.Input}
			stop = "tool_use"
		} else {
			block["text"] = m.last
		}
	}
	usage := map[string]any{"input_tokens": 10, "output_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
	msg := map[string]any{
		"id": "msg_01", "type": "message", "role": "assistant", "model": q.Model,
		"content": []any{block}, "stop_reason": stop, "stop_sequence": nil, "usage": usage,
	}
	if !q.Stream {
		writeJSON(w, 200, msg)
		return
	}
	streamMessage(w, msg, block, stop, usage)
}

// streamMessage sends the events of one message with one block.
func streamMessage(w http.ResponseWriter, msg, block map[string]any, stop string, usage map[string]any) {
	start := map[string]any{"type": "text", "text": ""}
	delta := map[string]any{"type": "text_delta", "text": block["text"]}
	if block["type"] == "tool_use" {
		in, _ := json.Marshal(block["input"]) // made of strings and numbers
		start = map[string]any{"type": "tool_use", "id": block["id"], "name": block["name"], "input": map[string]any{}}
		delta = map[string]any{"type": "input_json_delta", "partial_json": string(in)}
	}
	msg["content"], msg["stop_reason"] = []any{}, nil
	s := newEvents(w)
	s.send("message_start", map[string]any{"message": msg})
	s.send("content_block_start", map[string]any{"index": 0, "content_block": start})
	s.send("content_block_delta", map[string]any{"index": 0, "delta": delta})
	s.send("content_block_stop", map[string]any{"index": 0})
	s.send("message_delta", map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": usage})
	s.send("message_stop", map[string]any{})
}

// events writes server-sent events, flushing each.
type events struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func newEvents(w http.ResponseWriter) events {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(200)
	return events{w, http.NewResponseController(w)}
}

func (e events) send(kind string, v map[string]any) {
	v["type"] = kind
	b, _ := json.Marshal(v) // made of strings, numbers and maps of them
	fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", kind, b)
	e.c.Flush()
}
