package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key signs a log's checkpoints. It prints as its public half. The zero value
// signs nothing.
type Key struct {
	signer  note.Signer
	public  string
	private string
}

const maxKeyFile = 1024 // bytes

// NewKey makes an Ed25519 key. The name becomes the origin of the log's
// checkpoints: a schema-less URL such as "ambit.example/laptop", without spaces or
// plus signs, at most 100 bytes.
func NewKey(name string) (*Key, error) {
	if name == "" || len(name) > 100 || strings.ContainsAny(name, " \t\r\n+") {
		return nil, fmt.Errorf("cannot make log key: the name %q must have 1 to 100 characters and no space or plus", clip(name))
	}
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, fmt.Errorf("cannot make log key: %w", err)
	}
	return parseKeyPair(private, public)
}

func parseKeyPair(private, public string) (*Key, error) {
	s, err := note.NewSigner(private)
	if err != nil {
		// The parser's own error could repeat the private half.
		return nil, errors.New("cannot use log key: the private half is malformed")
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("cannot use log key: %w", err)
	}
	if v.Name() != s.Name() || v.KeyHash() != s.KeyHash() {
		return nil, errors.New("cannot use log key: its two halves do not belong together")
	}
	k := &Key{signer: s, public: public, private: private}
	sig, err := s.Sign([]byte(public))
	if err != nil || !v.Verify([]byte(public), sig) {
		return nil, errors.New("cannot use log key: its two halves do not belong together")
	}
	return k, nil
}

// Public returns the verifier key of C2SP signed-note: name+hash+key.
func (k *Key) Public() string {
	if k == nil {
		return ""
	}
	return k.public
}

// Name returns the key's name, which is the log's origin.
func (k *Key) Name() string { return k.signer.Name() }

// String returns the public half.
func (k *Key) String() string { return k.Public() }

// GoString returns the public half.
func (k *Key) GoString() string { return k.Public() }

// Save writes the key to a new file of mode 0600, whole or not at all, and
// refuses to replace a file.
func (k *Key) Save(path string) error {
	if k == nil || k.signer == nil {
		return errors.New("cannot save log key: there is none")
	}
	return saveNew(path, []byte(k.private+"\n"+k.public+"\n"))
}

// LoadKey reads a key file. A file that others than its owner can read is
// refused.
func LoadKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load log key: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot load log key: %w", err)
	}
	// Whoever can read the key can forge a log.
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("cannot load log key %s: mode %v lets others read it; if nobody has, chmod 600, else make a new key", path, st.Mode())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot load log key: %w", err)
	}
	private, rest, ok := strings.Cut(string(b), "\n")
	public, end, ok2 := strings.Cut(rest, "\n")
	if !ok || !ok2 || end != "" || len(b) > maxKeyFile {
		return nil, fmt.Errorf("cannot load log key %s: it is not two lines; restore it from a copy", path)
	}
	return parseKeyPair(private, public)
}

// KeyID returns the eight hexadecimal digits that name a verifier key in a
// note's signature line.
func KeyID(publicKey string) (string, error) {
	v, err := note.NewVerifier(strings.TrimSpace(publicKey))
	if err != nil {
		return "", fmt.Errorf("cannot read public key: %w", err)
	}
	return fmt.Sprintf("%08x", v.KeyHash()), nil
}

// saveNew writes a new file of mode 0600 durably, whole or not at all, and
// never replaces one.
func saveNew(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return fmt.Errorf("cannot save log key: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(f.Name(), path)
	}
	if err == nil {
		err = osFS{}.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("cannot save log key: %w", err)
	}
	return nil
}
