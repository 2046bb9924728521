package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"ambit/grants"
)

// makeHome makes the agent's own home directory, with the files that its
// profiles begin it with.
func makeHome(home string, uses []*grants.Profile) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("cannot make the agent's home: %w", err)
	}
	for _, u := range uses {
		if len(u.Home) == 0 {
			continue
		}
		if err := plant(home, u); err != nil {
			return err
		}
	}
	return nil
}

func plant(home string, u *grants.Profile) error {
	// An earlier task may have left a link where a folder or a file belongs, to
	// have us write outside: nothing is followed out of the home.
	root, err := os.OpenRoot(home)
	if err != nil {
		return fmt.Errorf("cannot open the agent's home: %w", err)
	}
	defer root.Close()
	for _, s := range u.Home {
		if err := plantOne(root, s); err != nil {
			return fmt.Errorf("cannot begin the agent's home with the file %s of the profile %s: %w; look at what is in its place in %s",
				s.Path.Value, u.Name, err, home)
		}
	}
	return nil
}

// plantOne writes one file, unless something has its name: what is there is
// the agent's.
func plantOne(root *os.Root, s grants.Seed) error {
	name := s.Path.Value
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.Data + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		// Half a file would count as the agent's own the next time.
		return errors.Join(err, root.Remove(name))
	}
	return nil
}
