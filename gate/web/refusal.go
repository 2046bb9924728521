package web

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"ambit"
	"ambit/pipeline"
)

// Codes of the gate's own refusals, beside those of package pipeline. They are
// part of what an agent is told and never change.
const (
	CodeNoRoute     = "no-route"          // no service has this name and port
	CodeNames       = "names-disagree"    // address, SNI and Host
	CodeBadPath     = "bad-path"          // the target can be read in two ways
	CodeBadRequest  = "bad-request"       // the head or framing can be read in two ways
	CodeMethod      = "bad-method"        // the method is not passed on
	CodeOverride    = "override"          // a header or parameter would replace method or path
	CodeUpgrade     = "bad-upgrade"       // only WebSocket is
	CodePlaceholder = "placeholder-leak"  // a placeholder left for a foreign place
	CodeFound       = "found-credential"  // a credential that is not the task's
	CodeTooLarge    = "too-large-to-ask"  // a person cannot be asked about so large a body
	CodeBusy        = "too-many"          // a limit of the task is reached
	CodeUnknown     = "not-understood"    // the classifier cannot say what it would do
	CodeUpstream    = "upstream-failed"   // allowed, but the upstream gave no answer
	CodeUnscrubbed  = "upstream-encoding" // allowed, but the answer cannot be searched for the credential
)

// refusal is why the gate itself stops a request. It is an error, so that it
// can come back from a perform step.
type refusal struct {
	code    string
	why     string // shown to the agent
	instead string // what the agent can do
	alert   string // kind of alert, or none
	detail  string // for the alert and the log only
	gateway bool   // the upstream failed after an allow: 502
}

// Error says why, as the agent is told.
func (r *refusal) Error() string { return "cannot pass request: " + r.code + ": " + r.why }

func badPath(why string) *refusal {
	return &refusal{code: CodeBadPath, why: why, alert: AlertSmuggling,
		instead: "Send the path in its plain spelling: each segment percent-encoded once, without empty and dot segments."}
}

func badRequest(why string) *refusal {
	return &refusal{code: CodeBadRequest, why: why, alert: AlertSmuggling,
		instead: "Send a plain HTTP request with an ordinary client."}
}

// answer is the JSON body of a refusal.
type answer struct {
	Error answerError `json:"error"`
}

type answerError struct {
	Refused    string `json:"refused"`
	Why        string `json:"why"`
	Code       string `json:"code"`
	Instead    string `json:"instead,omitempty"`
	Record     string `json:"record"`
	Ticket     string `json:"ticket,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
}

// ArgRefused is the argument of an action that a gate refused by itself: the code
// and why.
const ArgRefused = "refused"

// refuse records a refusal of the gate itself and returns what to tell the
// agent. The record is made by the pipeline: the action names no service, which
// no grant can allow.
func (g *Gate) refuse(ctx context.Context, a ambit.Action, r *refusal) answerError {
	e := answerError{Refused: describe(&a), Why: r.why, Code: r.code, Instead: r.instead}
	if r.alert != "" {
		g.c.Alert(ctx, r.alert, a, orElse(r.detail, r.why))
	}
	a.Service = ""
	a.Args = maps.Clone(a.Args)
	if a.Args == nil {
		a.Args = map[string]string{}
	}
	a.Args[ArgRefused] = r.code + ": " + orElse(r.detail, r.why)
	err := g.c.Do.Do(ctx, a, nil, func(context.Context, pipeline.Permit) (ambit.Outcome, string, error) {
		return ambit.Refused, r.code, r // also when somebody allows the service without a name
	})
	p, ok := errors.AsType[*pipeline.Refusal](err)
	if !ok {
		return e
	}
	e.Record = p.Record.String()
	if r.code == CodeNoRoute {
		e.Instead = orElse(p.Remedy, e.Instead)
	}
	g.unrecorded(ctx, p)
	return e
}

// unrecorded raises the alarm for a refusal that is not in the log.
func (g *Gate) unrecorded(ctx context.Context, p *pipeline.Refusal) {
	if p.Unrecorded != nil || p.Record == 0 {
		g.c.Alert(ctx, AlertPipeline, p.Action, p.Code)
	}
}

// told is what the agent is told of the pipeline's refusal.
func told(p *pipeline.Refusal, now time.Time) answerError {
	e := answerError{Refused: describe(&p.Action), Why: p.Why, Code: p.Code, Instead: p.Remedy,
		Record: p.Record.String(), Ticket: p.Ticket}
	if p.Code == pipeline.CodePending {
		e.Instead = orElse(e.Instead, "Send the identical request again once a person has approved it.")
		e.RetryAfter = retryAfter(p.Until, now)
	}
	return e
}

// retryAfter asks for a try soon, but not after the question has expired.
func retryAfter(until, now time.Time) int {
	const soon = 10
	if left := int(until.Sub(now) / time.Second); left > 0 && left < soon {
		return left
	}
	return soon
}

// write sends the refusal as HTTP. It is the same for an upstream that exists
// and one that does not.
func (e answerError) write(w http.ResponseWriter, status int) {
	body, err := json.Marshal(answer{e})
	if err != nil { // strings and numbers cannot fail
		body = nil
	}
	e.send(w, status, "application/json", append(body, '\n'))
}

func (e answerError) send(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	clear(h)
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("Ambit-Record", e.Record)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	w.WriteHeader(status)
	w.Write(body) // a hang-up shows at the next use of the connection
}

// describe names what was refused in one printable line.
func describe(a *ambit.Action) string {
	return printable(a.Operation+" "+a.Resource.String(), 512)
}

func orElse(s, t string) string {
	if s == "" {
		return t
	}
	return s
}
