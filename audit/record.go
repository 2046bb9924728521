package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gowebpki/jcs"

	"ambit"
)

// Types of records. Others may be added by whoever records them; a type is
// lower-case letters, digits, dots and hyphens.
const (
	TaskStart    = "task.start"
	TaskEnd      = "task.end"
	Intent       = "intent"
	Outcome      = "outcome"
	Refusal      = "refusal"
	Alert        = "alert"
	Question     = "question"
	Answer       = "answer"
	Expired      = "question.expired"
	Lease        = "lease"
	WrittenOff   = "lease.written-off" // by a person, who says why
	Revoke       = "revoke"
	DaemonStart  = "daemon.start"
	DaemonStop   = "daemon.stop"
	LogRecovered = "log.recovered" // written by the log itself when Open dropped a torn tail
)

// Bounds of a record.
const (
	MaxRecord    = 64 << 10 // bytes of its canonical form
	MaxDataDepth = 16       // nested objects and arrays in Data
)

// ClockBack in Record.Clock says that the clock stood earlier than at the
// record before.
const ClockBack = "back"

// TimeLayout is the form of a record's time: RFC 3339 in UTC with exactly six
// digits of a second.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// Record is one entry of the log. An empty field is left out of the canonical
// form. ID, Time and Clock belong to the log: Append sets them and refuses a
// record that brings its own.
type Record struct {
	ID    ambit.RecordID // its place in the log, from r1
	Time  time.Time      // UTC, whole microseconds
	Clock string         // "" or ClockBack
	Type  string         // required

	Task      string
	Agent     string
	Service   string
	Operation string
	Effect    string // "", "unknown", "read", "write", "irreversible"
	Kind      string // the resource's kind
	Resource  string // see SetResource
	Verdict   string // "", "deny", "ask", "allow"
	DecidedBy string // the grants file's line, or the rule
	Outcome   string // "", "unknown", "performed", "refused", "failed"
	Detail    string
	Approval  string         // who approved
	Intent    ambit.RecordID // the intent that this outcome closes
	Digest    string         // the action's, 64 lower-case hexadecimal digits

	// Data holds what else belongs to the type: a JSON object, or nil.
	Data json.RawMessage
}

// The members of the canonical form, in its order. Index i of a [members] is
// the value of keys[i].
var keys = [...]string{"agent", "approval", "clock", "data", "decided_by", "detail", "digest", "effect", "id", "intent",
	"kind", "operation", "outcome", "resource", "service", "task", "time", "type", "verdict"}

const dataKey = 3

type members [len(keys)]string

func (r *Record) members() members {
	m := members{r.Agent, r.Approval, r.Clock, "", r.DecidedBy, r.Detail, r.Digest, r.Effect, r.ID.String(), "",
		r.Kind, r.Operation, r.Outcome, r.Resource, r.Service, r.Task, r.Time.Format(TimeLayout), r.Type, r.Verdict}
	if r.Intent != 0 {
		m[9] = r.Intent.String()
	}
	return m
}

// ForAction begins a record of what became of one action. The digest may be
// the zero value for an action that has none.
func ForAction(typ string, a *ambit.Action, d ambit.Decision, g ambit.Digest) Record {
	r := Record{Type: typ, Task: string(a.Task), Agent: a.Agent, Service: a.Service, Operation: a.Operation,
		Effect: a.Effect.String(), Verdict: d.Verdict.String(), DecidedBy: d.By}
	if g != (ambit.Digest{}) {
		r.Digest = g.String()
	}
	r.SetResource(a.Resource)
	return r
}

// SetResource writes a resource in the one way that the log has for all kinds: the
// segments joined by "/". Inside a segment "%" is written %25 and "/" %2F, so that the
// joining can be undone.
func (r *Record) SetResource(res ambit.Resource) {
	r.Kind = res.Kind
	segs := make([]string, len(res.Segments))
	for i, s := range res.Segments {
		segs[i] = segmentEscape.Replace(s)
	}
	r.Resource = strings.Join(segs, "/")
	if r.Kind == "file" {
		r.Resource = "/" + r.Resource
	}
}

var (
	segmentEscape   = strings.NewReplacer("%", "%25", "/", "%2F")
	segmentUnescape = strings.NewReplacer("%25", "%", "%2F", "/")
)

// ResourceValue undoes SetResource.
func (r *Record) ResourceValue() (ambit.Resource, error) {
	s := r.Resource
	if r.Kind == "file" {
		s = strings.TrimPrefix(s, "/")
	}
	if s == "" {
		return ambit.NewResource(r.Kind)
	}
	segs := strings.Split(s, "/")
	for i := range segs {
		segs[i] = segmentUnescape.Replace(segs[i])
	}
	return ambit.NewResource(r.Kind, segs...)
}

// MarshalJSON writes the canonical form.
func (r Record) MarshalJSON() ([]byte, error) { return appendRecord(nil, &r) }

// UnmarshalJSON reads the canonical form and refuses any other.
func (r *Record) UnmarshalJSON(b []byte) error {
	p, err := ParseRecord(b)
	*r = p
	return err
}

// check refuses a record whose words are not of the vocabulary.
func (r *Record) check() error {
	switch {
	case !typeOK(r.Type):
		return fmt.Errorf("cannot record: type %q is not lower-case words joined by dots", clip(r.Type))
	case !oneOf(r.Effect, "", "unknown", "read", "write", "irreversible"):
		return fmt.Errorf("cannot record: effect %q is unknown", clip(r.Effect))
	case !oneOf(r.Verdict, "", "deny", "ask", "allow"):
		return fmt.Errorf("cannot record: verdict %q is unknown", clip(r.Verdict))
	case !oneOf(r.Outcome, "", "unknown", "performed", "refused", "failed"):
		return fmt.Errorf("cannot record: outcome %q is unknown", clip(r.Outcome))
	case !oneOf(r.Clock, "", ClockBack):
		return fmt.Errorf("cannot record: clock %q is unknown", clip(r.Clock))
	case r.Digest != "" && !digestOK(r.Digest):
		return fmt.Errorf("cannot record: the digest is not 64 lower-case hexadecimal digits")
	}
	return nil
}

func oneOf(s string, words ...string) bool { return slices.Contains(words, s) }

func typeOK(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func digestOK(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// canonicalData returns the canonical form of a record's data, nil for none.
func canonicalData(data json.RawMessage) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > MaxRecord {
		return nil, fmt.Errorf("cannot record: data has %d bytes, at most %d", len(data), MaxRecord)
	}
	if canonicalStrings(data) {
		return data, nil
	}
	if n, err := objectEnd(data); err != nil || len(bytes.TrimSpace(data[n:])) != 0 {
		return nil, fmt.Errorf("cannot record: data is not one JSON object of at most %d levels", MaxDataDepth)
	}
	c, err := jcs.Transform(data)
	if err != nil {
		return nil, fmt.Errorf("cannot record: data: %w", err)
	}
	return c, nil
}

// appendRecord appends the canonical form (RFC 8785). What is not UTF-8 in a
// string is written as U+FFFD.
func appendRecord(b []byte, r *Record) ([]byte, error) {
	data, err := canonicalData(r.Data)
	if err != nil {
		return b, err
	}
	return appendChecked(b, r, data)
}

// appendChecked is appendRecord for data that is canonical already.
func appendChecked(b []byte, r *Record, data []byte) ([]byte, error) {
	if err := r.check(); err != nil {
		return b, err
	}
	start, m := len(b), r.members()
	sep := byte('{')
	for i, v := range &m {
		if v == "" && (i != dataKey || len(data) == 0) {
			continue
		}
		b = append(b, sep, '"')
		b = append(b, keys[i]...)
		b = append(b, '"', ':')
		if i == dataKey {
			b = append(b, data...)
		} else {
			b = appendString(b, v)
		}
		sep = ','
	}
	b = append(b, '}')
	if n := len(b) - start; n > MaxRecord {
		return b[:start], fmt.Errorf("cannot record: the record has %d bytes, at most %d", n, MaxRecord)
	}
	return b, nil
}

const hexDigits = "0123456789abcdef"

// appendString appends a string by RFC 8785 section 3.2.2.2.
func appendString(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if e := shortEscape(c); e != 0 {
			b = append(b, '\\', e)
		} else {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// shortEscape returns the letter after the backslash, or 0 when there is none.
func shortEscape(c byte) byte {
	switch c {
	case '"', '\\':
		return c
	case '\b':
		return 'b'
	case '\t':
		return 't'
	case '\n':
		return 'n'
	case '\f':
		return 'f'
	case '\r':
		return 'r'
	}
	return 0
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
