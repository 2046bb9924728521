package ambit

// SecretValue holds a credential in memory. It prints as "[secret]" in every
// verb of fmt and in every encoding, so that a log line or an error cannot
// carry it by accident.
type SecretValue struct{ b []byte }

// NewSecret takes over b; the caller must not use it again.
func NewSecret(b []byte) SecretValue { return SecretValue{b: b} }

// Reveal returns the bytes themselves. Only what injects a credential into a
// request, or moves it between the rings, may call it.
func (s SecretValue) Reveal() []byte { return s.b }

// Empty says whether there is no secret at all.
func (s SecretValue) Empty() bool { return len(s.b) == 0 }

// Wipe overwrites the bytes.
func (s SecretValue) Wipe() { clear(s.b) }

// String returns "[secret]".
func (s SecretValue) String() string { return "[secret]" }

// GoString returns "[secret]".
func (s SecretValue) GoString() string { return "[secret]" }

// MarshalText returns "[secret]".
func (s SecretValue) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }
