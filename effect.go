package ambit

import "fmt"

// Effect says what an operation does to the world: read < write < irreversible.
// The zero value is unknown and counts as irreversible.
type Effect uint8

// The effects, from unknown (zero) upwards.
const (
	EffectUnknown Effect = iota
	Read
	Write
	Irreversible
)

var effectNames = [...]string{"unknown", "read", "write", "irreversible"}

// String returns the effect's name; a value out of range is "unknown".
func (e Effect) String() string {
	if int(e) < len(effectNames) {
		return effectNames[e]
	}
	return effectNames[0]
}

// Worst returns e, or Irreversible when e is unknown or out of range.
func (e Effect) Worst() Effect {
	if e == Read || e == Write {
		return e
	}
	return Irreversible
}

// MarshalText writes the effect's name.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads an effect's name and refuses any other word.
func (e *Effect) UnmarshalText(b []byte) error {
	n, err := index(effectNames[:], string(b), "effect")
	*e = Effect(n)
	return err
}

// Verdict is the answer to "may this action happen": deny < ask < allow.
// The zero value is deny.
type Verdict uint8

// The verdicts, strictest first.
const (
	Deny Verdict = iota
	Ask
	Allow
)

var verdictNames = [...]string{"deny", "ask", "allow"}

// String returns the verdict's name; a value out of range is "deny".
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return verdictNames[0]
}

// MarshalText writes the verdict's name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name and refuses any other word.
func (v *Verdict) UnmarshalText(b []byte) error {
	n, err := index(verdictNames[:], string(b), "verdict")
	*v = Verdict(n)
	return err
}

// Outcome says what became of an action. The zero value is unknown: the action
// may have happened.
type Outcome uint8

// The outcomes.
const (
	OutcomeUnknown Outcome = iota
	Performed              // the effect happened, as far as the other side said
	Refused                // Ambit stopped it before any effect
	Failed                 // it was attempted and the other side refused or broke
)

var outcomeNames = [...]string{"unknown", "performed", "refused", "failed"}

// String returns the outcome's name; a value out of range is "unknown".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return outcomeNames[0]
}

// MarshalText writes the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads an outcome's name and refuses any other word.
func (o *Outcome) UnmarshalText(b []byte) error {
	n, err := index(outcomeNames[:], string(b), "outcome")
	*o = Outcome(n)
	return err
}

func index(names []string, word, what string) (int, error) {
	for i, n := range names {
		if n == word {
			return i, nil
		}
	}
	return 0, fmt.Errorf("cannot read %s %q: it is none of %v", what, word, names)
}
