package console

import (
	"bytes"
	"io"
	"testing"
)

// TestWhatIsSentIsKnown: however a request's body is copied, it counts as sent. A client
// that does not know would have the next daemon do it once more.
func TestWhatIsSentIsKnown(t *testing.T) {
	c := &content{b: bytes.NewReader([]byte("{}"))}
	if c.sent.Load() {
		t.Error("it counts as sent before it is")
	}
	if n, err := io.Copy(io.Discard, io.NopCloser(c)); n != 2 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if !c.sent.Load() {
		t.Error("it was sent, and does not count as that")
	}
}
