package ambit

import (
	"crypto/sha256"
	"fmt"
	"unicode/utf8"
)

// Action is one attempted operation of one task.
type Action struct {
	Task      TaskID   `json:"task"`
	Agent     string   `json:"agent"`
	Service   string   `json:"service"`   // the grants file's name for what is reached; "" when none matches
	Operation string   `json:"operation"` // "http.get", "git.push", "github.pulls.create"
	Effect    Effect   `json:"effect"`
	Resource  Resource `json:"resource"`

	// Args is all else that an approval binds: for http the method, the whole
	// URL, the media type and the body's SHA-256. Values never hold a secret
	// that Ambit added; what the agent sent is shown as it is.
	Args map[string]string `json:"args,omitempty"`

	Label Label `json:"label"`
}

// Check refuses an action that no gate should have made.
func (a *Action) Check() error {
	if a.Task == "" || a.Agent == "" || a.Operation == "" {
		return fmt.Errorf("cannot use action: task, agent and operation must all be named")
	}
	if err := a.checkText(); err != nil {
		return err
	}
	return a.Resource.Check()
}

// checkText refuses text that is not UTF-8: JSON writes all of it alike, so that
// an approval for one action would fit another.
func (a *Action) checkText() error {
	for _, s := range [...]string{string(a.Task), a.Agent, a.Service, a.Operation, a.Resource.Kind} {
		if !utf8.ValidString(s) {
			return fmt.Errorf("cannot use action: %q is not UTF-8", clip(s))
		}
	}
	for _, s := range a.Resource.Segments {
		if !utf8.ValidString(s) {
			return fmt.Errorf("cannot use action: segment %q is not UTF-8", clip(s))
		}
	}
	for k, v := range a.Args {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("cannot use action: argument %q is not UTF-8", clip(k))
		}
	}
	return nil
}

// Canonical returns the action's canonical form (RFC 8785).
func (a *Action) Canonical() ([]byte, error) {
	if err := a.checkText(); err != nil {
		return nil, err
	}
	return a.appendCanonical(make([]byte, 0, 512)), nil
}

// Digest is the SHA-256 of the canonical form: what an approval is bound to.
func (a *Action) Digest() (Digest, error) {
	c, err := a.Canonical()
	if err != nil {
		return Digest{}, err
	}
	return sha256.Sum256(c), nil
}

// Decision is a verdict with what decided it. It holds only strings that
// exist already, so that making one allocates nothing.
type Decision struct {
	Verdict Verdict `json:"verdict"`
	By      string  `json:"by"`  // "ambit.yaml:14:5", or the name of a rule: "no-grant", "expired"
	Why     string  `json:"why"` // the line's `because`, or the rule in a sentence
}
