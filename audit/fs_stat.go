//go:build !linux

package audit

import (
	"fmt"
	"os"
)

// Current looks at the file and at its name.
func (f osFile) Current(name string, size int64) error {
	a, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if !os.SameFile(a, b) {
		return fmt.Errorf("%s is another file now", name)
	}
	if b.Size() != size {
		return changed(name, b.Size(), size)
	}
	return nil
}
