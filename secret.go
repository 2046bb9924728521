package ambit

import (
	"fmt"
	"io"
)

// SecretValue holds a credential in memory. It prints as "[secret]" in every
// verb of fmt and in every encoding, so that a log line or an error cannot
// carry it by accident.
type SecretValue struct {
	// A function, because fmt prints what an unexported field holds without
	// asking the value's methods, and of a function it can print an address only.
	b func() []byte
}

// NewSecret takes over b; the caller must not use it again.
func NewSecret(b []byte) SecretValue { return SecretValue{b: func() []byte { return b }} }

// Reveal returns the bytes themselves. Only what injects a credential into a
// request, or moves it between the rings, may call it.
func (s SecretValue) Reveal() []byte {
	if s.b == nil {
		return nil
	}
	return s.b()
}

// Empty says whether there is no secret at all.
func (s SecretValue) Empty() bool { return len(s.Reveal()) == 0 }

// Wipe overwrites the bytes.
func (s SecretValue) Wipe() { clear(s.Reveal()) }

// String returns "[secret]".
func (s SecretValue) String() string { return "[secret]" }

// Format writes "[secret]" for every verb.
func (s SecretValue) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// GoString returns "[secret]".
func (s SecretValue) GoString() string { return "[secret]" }

// MarshalText returns "[secret]".
func (s SecretValue) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
