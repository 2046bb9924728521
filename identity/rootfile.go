package identity

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// save writes the root durably and whole. With first it gives fs.ErrExist rather
// than replace a file.
func (r root) save(path string, td spiffeid.TrustDomain, first bool) error {
	b, err := r.encode(td)
	if err != nil {
		return err
	}
	return replace(path, b, first)
}

// replace writes a file of mode 0600 durably and whole: a crash leaves the old
// file or the new one. With first it gives fs.ErrExist rather than replace a file.
func replace(path string, b []byte, first bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".authority-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already after a rename
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if first {
		err = os.Link(f.Name(), path)
	} else {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (r root) encode(td spiffeid.TrustDomain) ([]byte, error) {
	f := rootJSON{TrustDomain: td.Name(), Sequence: r.sequence}
	for _, g := range r.gens {
		j := generationJSON{Certificate: g.cert.Raw}
		var errs [3]error
		j.JWTPublic, errs[0] = x509.MarshalPKIXPublicKey(g.jwt)
		if g.key != nil {
			j.Key, errs[1] = x509.MarshalPKCS8PrivateKey(g.key)
			j.JWTKey, errs[2] = x509.MarshalPKCS8PrivateKey(g.jwtKey)
		}
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		f.Generations = append(f.Generations, j)
	}
	return json.MarshalIndent(f, "", "  ")
}

// syncDir makes a new name in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
