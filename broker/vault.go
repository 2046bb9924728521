package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"
)

// Vault seals what must outlive the daemon's memory, in age's format
// (age-encryption.org/v1) with a key of its own that only its owner can read. The
// key is made when something is sealed for the first time. The zero value refuses.
type Vault struct {
	path string

	mu sync.Mutex
	id *age.X25519Identity
}

// NewVault names the file of the key, "AMBIT_HOME/keys/leases.key" say; its folder
// must exist.
func NewVault(path string) *Vault { return &Vault{path: path} }

// Seal encrypts plain. about says whose it is: what was sealed about one lease does
// not open as another's.
func (v *Vault) Seal(plain []byte, about string) ([]byte, error) {
	id, err := v.key(true)
	if err != nil {
		return nil, fmt.Errorf("cannot seal a credential: %w", err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, id.Recipient())
	if err == nil {
		_, err = io.WriteString(w, about+"\x00")
	}
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot seal a credential: %w", err)
	}
	return b.Bytes(), nil
}

// Open decrypts what [Vault.Seal] sealed about the same. The caller wipes it.
func (v *Vault) Open(sealed []byte, about string) ([]byte, error) {
	id, err := v.key(false)
	if err != nil {
		return nil, fmt.Errorf("cannot open a sealed credential: %w", err)
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		return nil, fmt.Errorf("cannot open a sealed credential: it is not sealed with the key in %s: %w", v.path, err)
	}
	b := make([]byte, len(sealed)) // always more than what is inside
	n, err := io.ReadFull(r, b)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(b)
		return nil, fmt.Errorf("cannot open a sealed credential: it was changed: %w", err)
	}
	plain, ok := bytes.CutPrefix(b[:n], []byte(about+"\x00"))
	if !ok {
		clear(b)
		return nil, errors.New("cannot open a sealed credential: it was sealed for something else")
	}
	return plain, nil
}

// key reads the key, or makes it.
func (v *Vault) key(make bool) (*age.X25519Identity, error) {
	if v == nil || v.path == "" {
		return nil, errors.New("there is no key")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.id != nil {
		return v.id, nil
	}
	id, err := readKey(v.path)
	if errors.Is(err, fs.ErrNotExist) && make {
		id, err = makeKey(v.path)
	}
	if err != nil {
		return nil, err
	}
	v.id = id
	return id, nil
}

func readKey(path string) (*age.X25519Identity, error) {
	f, err := openNoFollow(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular() || !ownedByUs(fi):
		return nil, fmt.Errorf("%s is not a plain file of your own: move it away", path)
	case fi.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("others may use %s (mode %04o): chmod 600 it", path, fi.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, err
	}
	defer clear(b)
	id, err := age.ParseX25519Identity(strings.TrimSpace(string(b)))
	if err != nil { // the error repeats what it read
		return nil, fmt.Errorf("%s holds no age identity: move it away; leases that were sealed with it cannot be ended then", path)
	}
	return id, nil
}

// makeKey makes a key that is durable before anything is sealed with it.
func makeKey(path string) (*age.X25519Identity, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	// What a crash left is made anew, and never written through: it could be a link, or
	// somebody's who has it open.
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(id.String() + "\n")
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return id, errors.Join(d.Sync(), d.Close())
}
