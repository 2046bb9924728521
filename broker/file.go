package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// File is a credential in a file, read anew for every lease, so that a rotated
// one is taken up.
type File struct {
	Path string // absolute

	// Apart names folders that agents can write. A credential is never read from
	// below them: whoever could put a link or another file there would choose
	// which of the user's secrets is sent to the service.
	Apart []string

	// Warn is told when others than its owner can read the file. It may be nil.
	Warn func(string)
}

// Read implements Source.
func (s File) Read(context.Context) ([]byte, error) {
	f, err := s.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One buffer of the greatest size: one that grows leaves copies behind.
	b := make([]byte, maxSecret+3) // a line end more than is allowed, and one
	defer clear(b)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("cannot read it: %w", err)
	}
	return bytes.Clone(trimLine(b[:n])), nil
}

func (s File) open() (*os.File, error) {
	if !filepath.IsAbs(s.Path) {
		return nil, errors.New("its path is not absolute")
	}
	real, err := apart(s.Path, s.Apart)
	if err != nil {
		return nil, err
	}
	// Folders above may be links (/home, /var/run); the file itself may not, and
	// is not followed if it becomes one now.
	if fi, err := os.Lstat(s.Path); err != nil {
		return nil, err
	} else if fi.Mode()&os.ModeSymlink != 0 {
		return nil, fmt.Errorf("it is a link: name its target, %s", real)
	}
	f, err := openNoFollow(real)
	if err != nil {
		return nil, err
	}
	if err := s.checkFile(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s File) checkFile(f *os.File) error {
	fi, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !fi.Mode().IsRegular():
		return errors.New("it is not a plain file")
	case !ownedByUs(fi):
		return errors.New("it belongs to somebody else: make it your own")
	case fi.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others can write it (mode %04o): chmod 600 it, and see that it is still yours", fi.Mode().Perm())
	case fi.Mode().Perm()&0o044 != 0 && s.Warn != nil:
		s.Warn(fmt.Sprintf("others on this machine can read the credential in %s (mode %04o): chmod 600 it", s.Path, fi.Mode().Perm()))
	}
	return nil
}

// String implements Source.
func (s File) String() string { return "file " + s.Path }

// Wipe implements Source; a file is not the broker's to wipe.
func (s File) Wipe() {}

// apart returns the real path of an existing file, or an error when it, or the
// way to it as written, lies below one of the folders.
func apart(path string, folders []string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	for _, dir := range folders {
		realDir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			realDir = filepath.Clean(dir)
		}
		if below(path, dir) || below(real, realDir) {
			return "", fmt.Errorf("%s lies in %s, which the agent can write: keep it elsewhere", path, dir)
		}
	}
	return real, nil
}

func below(path, dir string) bool {
	rel, err := filepath.Rel(filepath.Clean(dir), filepath.Clean(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
