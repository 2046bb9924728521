package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	maxNote    = 1024    // bytes of a signed checkpoint as this package writes it
	maxForeign = 8 << 10 // bytes of one from elsewhere, which may carry more signatures
	maxSize    = 1 << 62 // records
)

// Checkpoint is a signed statement that the log of this origin had this size
// and this root (C2SP tlog-checkpoint as a signed note).
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Signed []byte // the whole note, as it was signed
}

// checkpointText is the text that a checkpoint's signature covers.
func checkpointText(origin string, size int64, root tlog.Hash) string {
	return origin + "\n" + strconv.FormatInt(size, 10) + "\n" + base64.StdEncoding.EncodeToString(root[:]) + "\n"
}

func (k *Key) sign(size int64, root tlog.Hash) (Checkpoint, error) {
	if k == nil || k.signer == nil {
		return Checkpoint{}, errors.New("cannot sign checkpoint: there is no key")
	}
	n := &note.Note{Text: checkpointText(k.Name(), size, root)}
	b, err := note.Sign(n, k.signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("cannot sign checkpoint: %w", err)
	}
	return Checkpoint{k.Name(), size, root, b}, nil
}

// parseCheckpoint reads a checkpoint without checking its signature.
func parseCheckpoint(b []byte) (Checkpoint, error) {
	if len(b) > maxForeign {
		return Checkpoint{}, fmt.Errorf("cannot read checkpoint: %d bytes, at most %d", len(b), maxForeign)
	}
	text, sigs, ok := strings.Cut(string(b), "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) != 3 || lines[0] == "" || sigs == "" {
		return Checkpoint{}, errors.New("cannot read checkpoint: it is not an origin, a size and a root, an empty line and signatures")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > maxSize || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("cannot read checkpoint: %q is no size", clip(lines[1]))
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fmt.Errorf("cannot read checkpoint: %q is no root", clip(lines[2]))
	}
	return Checkpoint{lines[0], size, tlog.Hash(root), b}, nil
}

// Errors of a checkpoint's signature.
var (
	errOtherKey = errors.New("it is signed by another key")
	errBadSig   = errors.New("its signature does not verify")
)

// verify checks the signature, and that the origin is the key's name.
func (c *Checkpoint) verify(v note.Verifier) error {
	if c.Origin != v.Name() {
		return fmt.Errorf("%w: it is of the log %q, not %q", errOtherKey, clip(c.Origin), v.Name())
	}
	n, err := note.Open(c.Signed, note.VerifierList(v))
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return errOtherKey
	}
	// The note's reader and ours must have seen the same text.
	if err != nil || n.Text != checkpointText(c.Origin, c.Size, c.Root) {
		return errBadSig
	}
	return nil
}

// verifyOwn is verify for a checkpoint that the log itself wrote: it has one
// signature and one spelling, so that no byte of it can change unseen.
func (c *Checkpoint) verifyOwn(v note.Verifier) error {
	if err := c.verify(v); err != nil {
		return err
	}
	want := checkpointText(c.Origin, c.Size, c.Root) + "\n— " + v.Name() + " "
	sig, ok := strings.CutPrefix(string(c.Signed), want)
	sig, ok2 := strings.CutSuffix(sig, "\n")
	if _, err := base64.StdEncoding.Strict().DecodeString(sig); !ok || !ok2 || err != nil || strings.ContainsAny(sig, "\r\n") {
		return errBadSig
	}
	return nil
}

// OpenCheckpoint reads a checkpoint and verifies it with the public key.
func OpenCheckpoint(b []byte, publicKey string) (Checkpoint, error) {
	v, err := note.NewVerifier(strings.TrimSpace(publicKey))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("cannot read public key: %w", err)
	}
	c, err := parseCheckpoint(b)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := c.verify(v); err != nil {
		return Checkpoint{}, fmt.Errorf("cannot trust checkpoint: %w", err)
	}
	return c, nil
}
