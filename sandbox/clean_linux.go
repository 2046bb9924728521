package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Clean removes a task's scratch directory, or the folder that holds it under the
// name "scratch", and the control groups that a killed or confined gatekeeper could
// not remove itself. The kernel makes overlay work directories with mode 0;
// they are opened first. It never follows a symbolic link.
func Clean(scratch string) error {
	if !filepath.IsAbs(scratch) || filepath.Clean(scratch) == "/" {
		return fmt.Errorf("cannot clean %q: it is no absolute path of a scratch directory", scratch)
	}
	for _, dir := range []string{scratch, filepath.Join(scratch, "scratch")} {
		removeGroups(filepath.Join(dir, cgroupNotes))
	}
	err := os.RemoveAll(scratch)
	if err == nil {
		return nil
	}
	if err := unlock(scratch); err != nil {
		return fmt.Errorf("cannot clean %s: %w", scratch, err)
	}
	if err := os.RemoveAll(scratch); err != nil {
		return fmt.Errorf("cannot clean %s: %w", scratch, err)
	}
	return nil
}

// removeGroups removes the control groups that the notes name. Nobody but the
// gatekeeper can write them; all the same, nothing but Ambit's groups is touched.
func removeGroups(notes string) {
	text, err := os.ReadFile(notes)
	if err != nil {
		return
	}
	for dir := range strings.Lines(string(text)) {
		dir = strings.TrimSpace(dir)
		if filepath.Clean(dir) == dir && strings.HasPrefix(dir, cgroupMount+"/") && strings.HasPrefix(filepath.Base(dir), cgroupName) {
			removeGroup(dir)
		}
	}
}

// unlock makes every directory below dir one that its owner can empty.
func unlock(dir string) error {
	root, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	return unlockIn(root, filepath.Base(dir))
}

func unlockIn(root *os.Root, name string) error {
	st, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode()&0o700 != 0o700 {
		if err := root.Chmod(name, 0o700); err != nil {
			return err
		}
	}
	sub, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	d, err := sub.Open(".")
	if err != nil {
		return err
	}
	list, err := d.ReadDir(-1)
	d.Close()
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.IsDir() {
			if err := unlockIn(sub, e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}
