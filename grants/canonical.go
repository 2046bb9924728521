package grants

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gowebpki/jcs"

	"ambit"
)

// object is a JSON object under construction: keys with empty values are left
// out, so that what nobody wrote is not in the canonical form.
type object map[string]any

func (o object) text(key string, t Text) {
	if t.Value != "" {
		o[key] = t.Value
	}
}

func (o object) list(key string, ts []Text) {
	if len(ts) > 0 {
		o[key] = values(ts)
	}
}

func values(ts []Text) []string {
	out := make([]string, 0, len(ts))
	for _, t := range ts {
		out = append(out, t.Value)
	}
	return out
}

// Canonical is the file's one spelling: RFC 8785 JSON without comments, layout
// and order of keys. It is a grants file itself, with the same meaning and the
// same canonical form. Lists keep their order.
func (f *File) Canonical() []byte {
	b, err := json.Marshal(f.object())
	if err != nil {
		panic("grants: text that was parsed cannot be written: " + err.Error())
	}
	c, err := jcs.Transform(b)
	if err != nil {
		panic("grants: JSON that was written cannot be read: " + err.Error())
	}
	return c
}

// Digest is the SHA-256 of the canonical form.
func (f *File) Digest() ambit.Digest { return sha256.Sum256(f.Canonical()) }

func (f *File) object() object {
	o := object{"expires": writeDuration(f.Expires)}
	o.text("agent", f.Agent)
	o.text("owner", f.Owner)
	o.text("purpose", f.Purpose)
	if len(f.Services) > 0 {
		all := object{}
		for _, s := range f.Services {
			all[s.Name.Value] = s.object()
		}
		o["services"] = all
	}
	var uses []string
	for _, p := range f.Uses {
		uses = append(uses, p.Name)
	}
	if len(uses) > 0 {
		o["uses"] = uses
	}
	if s := f.Sandbox.object(); len(s) > 0 {
		o["sandbox"] = s
	}
	for _, l := range f.Lines {
		key := l.Section.String()
		lines, _ := o[key].([]object)
		o[key] = append(lines, l.object())
	}
	var expect []object
	for _, e := range f.Expect {
		expect = append(expect, object{e.Verdict: e.Action.Value})
	}
	if len(expect) > 0 {
		o["expect"] = expect
	}
	return o
}

func writeDuration(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	if d%time.Minute == 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func (s *Service) object() object {
	o := object{}
	o.text("kind", s.Kind)
	o.list("host", s.Hosts)
	o.text("scheme", s.Scheme)
	o.text("address", s.Address)
	o.text("ca", s.CA)
	o.text("database", s.Database)
	o.text("tls", s.TLS)
	o.list("env", s.Env)
	o.list("reads", s.Reads)
	o.list("graphql", s.GraphQL)
	if s.Port > 0 {
		o["port"] = s.Port
	}
	if s.EncodedSlash {
		o["encoded-slash"] = true
	}
	if s.Git {
		o["git"] = true
	}
	if s.Credential != nil {
		o["credential"] = s.Credential.object()
	}
	if in := s.Inject; in != nil {
		v := object{}
		for key, value := range map[string]string{"header": in.Header, "format": in.Format, "basic": in.Basic, "query": in.Query} {
			if value != "" {
				v[key] = value
			}
		}
		o["inject"] = v
	}
	return o
}

func (c *Credential) object() object {
	var place object
	switch {
	case c.Env != "":
		place = object{"env": c.Env}
	case c.File != "":
		place = object{"file": c.File}
	case c.JWT != "":
		place = object{"jwt": c.JWT}
	default:
		place = object{"command": c.Command}
	}
	if c.App == 0 {
		return place
	}
	o := object{"app": c.App, "key": place}
	if c.Installation != 0 {
		o["installation"] = c.Installation
	}
	return o
}

func (s Sandbox) object() object {
	o := object{}
	o.text("workspace", s.Workspace)
	o.list("read", s.Read)
	o.list("write", s.Write)
	var env []string
	for _, e := range s.Env {
		env = append(env, e.String())
	}
	if len(env) > 0 {
		o["env"] = env
	}
	if s.ThrowAway {
		o["home"] = "throw-away"
	}
	if s.Memory > 0 {
		o["memory"] = writeSize(s.Memory)
	}
	if s.Processes > 0 {
		o["processes"] = s.Processes
	}
	if s.CPU > 0 {
		o["cpu"] = json.Number(strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%03d", s.CPU/1000, s.CPU%1000), "0"), "."))
	}
	if s.OpenFiles > 0 {
		o["open-files"] = s.OpenFiles
	}
	if len(s.Accept) > 0 {
		o["lint-accept"] = acceptObject(s.Accept)
	}
	return o
}

// String writes the variable as it stands in a file.
func (e Env) String() string {
	if e.Set {
		return e.Name + "=" + e.Value
	}
	return e.Name
}

// writeSize writes bytes in the largest unit that is exact.
func writeSize(n int64) string {
	unit := "KiB"
	n >>= 10
	for _, u := range []string{"MiB", "GiB", "TiB"} {
		if n%1024 != 0 {
			break
		}
		n, unit = n>>10, u
	}
	return fmt.Sprintf("%d%s", n, unit)
}

func (l *Line) object() object {
	o := object{l.Service.Value: values(l.Patterns)}
	o.list("operations", l.Operations)
	o.list("except", l.Except)
	o.list("refs", l.Refs)
	o.text("because", l.Because)
	if w := l.Cond.During; w != nil {
		o["during"] = w.Text
	}
	if r := l.Cond.AtMost; r != nil {
		o["at-most"] = r.Text
	}
	if l.WithoutAsking {
		o["without-asking"] = true
		o["until"] = l.Until.Format(time.RFC3339)
	}
	if len(l.Accept) > 0 {
		o["lint-accept"] = acceptObject(l.Accept)
	}
	return o
}
