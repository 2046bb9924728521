package keeper

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"ambit/sandbox"
)

// foreign says that what root's agent is to write belongs to somebody else: inside
// it is not root, and the files of others are closed to it. "" when it can write.
// me is the user's number.
func (p *plan) foreign(me int) string {
	if me != 0 {
		return ""
	}
	for _, f := range p.files {
		if f.Access != sandbox.Writable {
			continue
		}
		if owner, ok := closedToRootsAgent(f.Path); ok {
			who := nameOf(owner)
			return fmt.Sprintf("warning: the agent cannot write %s: it belongs to %s, and an agent that root starts is not root inside; "+
				"run it as the owner, with `sudo -u %s ambit run …`, or give the folder to root", f.Path, who, who)
		}
	}
	return ""
}

// closedToRootsAgent says whose the path is when not root and not everybody can
// write it.
func closedToRootsAgent(path string) (owner int, ok bool) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, false // said elsewhere
	}
	st, known := fi.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(st.Uid), st.Uid != 0 && fi.Mode().Perm()&0o002 == 0
}

// nameOf is how sudo(8) takes a user: by name, or by "#" and the number.
func nameOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "#" + strconv.Itoa(uid)
}
