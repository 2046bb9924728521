package ambit

// Label is what is known of the text that steers an action: whether all of it
// was trusted, and how confidential the worst of it was. The zero value is the
// worst: untrusted and secret.
type Label struct {
	Integrity       Integrity       `json:"integrity"`
	Confidentiality Confidentiality `json:"confidentiality"`
}

// Integrity is untrusted (zero) or trusted.
type Integrity uint8

// The integrities, worst first.
const (
	Untrusted Integrity = iota
	Trusted
)

// String returns the integrity's name.
func (i Integrity) String() string {
	if i == Trusted {
		return "trusted"
	}
	return "untrusted"
}

// MarshalText writes the integrity's name.
func (i Integrity) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText reads an integrity's name and refuses any other word.
func (i *Integrity) UnmarshalText(b []byte) error {
	n, err := index([]string{"untrusted", "trusted"}, string(b), "integrity")
	*i = Integrity(n)
	return err
}

// Confidentiality is secret (zero), internal or public.
type Confidentiality uint8

// The confidentialities, worst first.
const (
	Secret Confidentiality = iota
	Internal
	Public
)

// String returns the confidentiality's name; out of range is "secret".
func (c Confidentiality) String() string {
	switch c {
	case Public:
		return "public"
	case Internal:
		return "internal"
	}
	return "secret"
}

// MarshalText writes the confidentiality's name.
func (c Confidentiality) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a confidentiality's name and refuses any other word.
func (c *Confidentiality) UnmarshalText(b []byte) error {
	n, err := index([]string{"secret", "internal", "public"}, string(b), "confidentiality")
	*c = Confidentiality(n)
	return err
}
