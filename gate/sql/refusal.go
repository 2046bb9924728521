package sql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
	"ambit/pipeline"
)

// Codes of the gate's own refusals, beside those of package pipeline. They are
// part of what an agent is told and never change.
const (
	CodeNoRoute  = "no-route"         // no database has this name and port
	CodeNames    = "names-disagree"   // address and TLS
	CodeProtocol = "bad-request"      // bytes that can be read in two ways, or in none
	CodeSetting  = "bad-setting"      // a setting that the gate and the role rest on
	CodeDatabase = "no-database"      // another database than the service's
	CodeUnknown  = "not-understood"   // a statement that cannot be read, or may do anything unseen
	CodeTooLarge = "too-large-to-ask" // a person cannot be asked about so large a statement
	CodeNotLent  = "not-lent"         // what it needs in the database cannot be given, so nobody is asked
	CodeBusy     = "too-many"         // a limit of the task is reached
	CodeUpstream = "upstream-failed"  // allowed, but the database gave no answer
)

// States of errors (PostgreSQL 17, appendix A).
const (
	stateRefused     = "42501" // insufficient_privilege
	stateNoStatement = "26000" // invalid_sql_statement_name
	stateProtocol    = "08P01" // protocol_violation
	stateSyntax      = "42601" // syntax_error
	stateUpstream    = "08006" // connection_failure
	stateMemory      = "54000" // program_limit_exceeded
)

// refusal is why the gate itself stops something. It is an error, so that it can
// come back from a perform step.
type refusal struct {
	code    string
	state   string
	why     string // shown to the agent
	instead string // what the agent can do
	alert   string // kind of alert, or none
	what    string // what is refused; the connection when it is ""
	says    string // the message, when it is another one than that what was refused
}

// Error says why, as the agent is told.
func (r *refusal) Error() string { return "cannot pass: " + r.code + ": " + r.why }

func badProtocol(why string) *refusal {
	return &refusal{code: CodeProtocol, state: stateProtocol, why: why, alert: AlertProtocol, instead: "Use an ordinary PostgreSQL client."}
}

func notUnderstood(why string) *refusal {
	return &refusal{code: CodeUnknown, state: stateRefused, why: why, instead: "Send one plain statement at a time."}
}

// unread is the refusal of a text that the gate cannot read. What is not in the grammar
// the database would not have taken either, and says so in the database's own words:
// an agent mends it, and asks for no rights.
func unread(err error) *refusal {
	bad, ok := errors.AsType[*sql.SyntaxError](err)
	if !ok {
		return notUnderstood(err.Error())
	}
	return &refusal{code: CodeUnknown, state: stateSyntax, says: printable(bad.Message, 1000), why: "the statement could not be read, and was not sent: " + bad.Message,
		instead: "Mend the statement."}
}

// ArgRefused is the argument of an action that a gate refused by itself: the code
// and why.
const ArgRefused = "refused"

// refuse records a refusal of the gate itself and returns what to tell the agent.
// The record is made by the pipeline: the action names no service, which no grant
// can allow.
func (g *Gate) refuse(ctx context.Context, a ambit.Action, r *refusal) *pgproto3.ErrorResponse {
	if r.alert != "" {
		g.c.Alert(ctx, r.alert, a, r.why)
	}
	refused := orText(r.what, describe(&a))
	a.Service = ""
	a.Args = maps.Clone(a.Args)
	if a.Args == nil {
		a.Args = map[string]string{}
	}
	a.Args[ArgRefused] = r.code + ": " + r.why
	err := g.c.Do.Do(ctx, a, nil, func(context.Context, pipeline.Permit) (ambit.Outcome, string, error) {
		return ambit.Refused, r.code, r // also when somebody allows the service without a name
	})
	var record ambit.RecordID
	instead := r.instead
	if p, ok := errors.AsType[*pipeline.Refusal](err); ok {
		record = p.Record
		if r.code == CodeNoRoute && p.Remedy != "" {
			instead = p.Remedy
		}
		g.unrecorded(ctx, p)
	}
	m := message(r.state, refused, r.code, r.why, instead, record)
	m.Message = orText(r.says, m.Message)
	return m
}

// unrecorded raises the alarm for a refusal that is not in the log.
func (g *Gate) unrecorded(ctx context.Context, p *pipeline.Refusal) {
	if p.Unrecorded != nil || p.Record == 0 {
		g.c.Alert(ctx, AlertPipeline, p.Action, p.Code)
	}
}

// told is what the agent is told of the pipeline's refusal.
func told(p *pipeline.Refusal) *pgproto3.ErrorResponse {
	instead, why := p.Remedy, p.Why
	switch p.Code {
	case pipeline.CodeNoCredential:
		// The cause names where the database is and its administrator.
		why = "the broker gave no credential; the log says why"
	case pipeline.CodePending:
		instead = "Send the identical statement again once a person has approved it (ticket " + p.Ticket + ")."
	}
	return message(stateRefused, describe(&p.Action), p.Code, why, instead, p.Record)
}

// message is a refusal as a client shows it: what was refused, why, and what to do
// instead. The first word of the detail is the code, the second the record.
func message(state, refused, code, why, instead string, record ambit.RecordID) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{
		Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: state,
		Message: "ambit refused " + refused, Detail: fmt.Sprintf("%s %s: %s", code, record, printable(why, 1000)), Hint: lines(instead, 2000),
	}
}

// describe names what was refused in one printable line.
func describe(a *ambit.Action) string {
	return printable(a.Operation+" on "+a.Resource.String(), 512)
}

// lines is text of several lines, bounded and printable.
func lines(s string, most int) string {
	var out []string
	for l := range strings.SplitSeq(s, "\n") {
		out = append(out, printable(l, most))
	}
	text := strings.Join(out, "\n")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// printable shows s in one line of at most about most bytes: control characters, and
// what has no shape of its own or turns the text around, are written as escapes.
func printable(s string, most int) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= most {
			fmt.Fprintf(&b, "…[%d more bytes]", len(s)-i)
			break
		}
		switch {
		case r == utf8.RuneError:
			b.WriteString(`\u{fffd}`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Mn, r) && !unicode.Is(unicode.Me, r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}
