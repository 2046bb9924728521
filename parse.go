package ambit

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
)

// errNotCanonical is all that a reader of canonical bytes says of others: they
// come from a program of ours, or from an attacker.
var errNotCanonical = errors.New("cannot read action: it is not in canonical form")

// ParseAction reads the canonical form of an action and returns the action and
// its digest. Anything else is refused, also JSON of the same meaning: its
// digest would be another one for another reader. It allocates at most a few
// times the size of b, and does not check the action itself (see Check).
func ParseAction(b []byte) (Action, Digest, error) {
	p := parser{s: string(b)}
	a := p.action()
	if p.failed || p.s != "" {
		return Action{}, Digest{}, errNotCanonical
	}
	// The reader above is lenient here and there; writing it again is not.
	if err := a.checkText(); err != nil {
		return Action{}, Digest{}, err
	}
	if !bytes.Equal(a.appendCanonical(make([]byte, 0, len(b))), b) {
		return Action{}, Digest{}, errNotCanonical
	}
	return a, sha256.Sum256(b), nil
}

// parser takes one token after the other off s. After the first that is not
// there it has failed, and all others are empty.
type parser struct {
	s      string
	failed bool
}

func (p *parser) action() (a Action) {
	p.expect(`{"agent":`)
	a.Agent = p.text()
	if p.take(`,"args":{`) {
		a.Args = p.args()
	}
	p.expect(`,"effect":`)
	p.word(&a.Effect)
	p.expect(`,"label":{"confidentiality":`)
	p.word(&a.Label.Confidentiality)
	p.expect(`,"integrity":`)
	p.word(&a.Label.Integrity)
	p.expect(`},"operation":`)
	a.Operation = p.text()
	p.expect(`,"resource":{"kind":`)
	a.Resource.Kind = p.text()
	p.expect(`,"segments":`)
	a.Resource.Segments = p.segments()
	p.expect(`},"service":`)
	a.Service = p.text()
	p.expect(`,"task":`)
	a.Task = TaskID(p.text())
	p.expect(`}`)
	return a
}

func (p *parser) take(token string) bool {
	rest, ok := strings.CutPrefix(p.s, token)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *parser) expect(token string) {
	if !p.take(token) {
		p.fail()
	}
}

func (p *parser) fail() { p.s, p.failed = "", true }

func (p *parser) args() map[string]string {
	m := make(map[string]string, 8)
	for {
		k := p.text()
		p.expect(":")
		m[k] = p.text()
		if p.failed || !p.take(",") {
			p.expect("}")
			return m
		}
	}
}

func (p *parser) segments() []string {
	if p.take("null") {
		return nil
	}
	p.expect("[")
	segs := make([]string, 0, 8)
	if p.take("]") {
		return segs
	}
	for {
		segs = append(segs, p.text())
		if p.failed || !p.take(",") {
			p.expect("]")
			return segs
		}
	}
}

// text takes a string. One without escapes is a part of s.
func (p *parser) text() string {
	if !p.take(`"`) {
		p.fail()
		return ""
	}
	for i := range len(p.s) {
		switch p.s[i] {
		case '\\':
			return p.escaped(i)
		case '"':
			t := p.s[:i]
			p.s = p.s[i+1:]
			return t
		}
	}
	p.fail()
	return ""
}

// escaped takes a string whose first backslash is at i.
func (p *parser) escaped(i int) string {
	for ; i < len(p.s) && p.s[i] != '"'; i++ {
		if p.s[i] == '\\' {
			i++
		}
	}
	var t string
	if i >= len(p.s) || json.Unmarshal([]byte(`"`+p.s[:i+1]), &t) != nil {
		p.fail()
		return ""
	}
	p.s = p.s[i+1:]
	return t
}

// word takes the name of a value of a closed list.
func (p *parser) word(to interface{ UnmarshalText([]byte) error }) {
	if to.UnmarshalText([]byte(p.text())) != nil {
		p.fail()
	}
}
