package stage

import (
	"syscall"

	"ambit/sandbox/kernel"
)

// directory looks for the working directory.
func (r *runner) directory() error {
	fd, err := kernel.Open2(kernel.AtFDCWD, r.plan.Dir, kernel.OPath|syscall.O_DIRECTORY, 0)
	if err == syscall.ENOENT {
		return fault("cannot enter the working directory " + r.plan.Dir + ": no line of the grants shows it; add `files: [\".\"]` under read")
	}
	if err != nil {
		return failed("enter the working directory "+r.plan.Dir, err)
	}
	return syscall.Close(fd)
}

// find looks for the command as execvp(3) does, in the agent's own PATH.
func (r *runner) find() (string, error) {
	name := r.plan.Argv[0]
	for i := 0; i < len(name); i++ {
		if name[i] == '/' {
			return name, nil
		}
	}
	path := r.variable("PATH")
	for path != "" {
		var dir string
		dir, path = cut(path, ':')
		if dir == "" || dir[0] != '/' {
			continue // a relative entry would run what the agent put into its directory
		}
		if file := dir + "/" + name; executable(file) {
			return file, nil
		}
	}
	return "", fault("cannot find the command " + name + " in the sandbox's PATH; name its file, or grant reading the directory it is in")
}

func (r *runner) variable(name string) string {
	for _, e := range r.plan.Env {
		if k, v := cut(e, '='); k == name {
			return v
		}
	}
	return ""
}

func executable(file string) bool {
	fd, err := kernel.Open2(kernel.AtFDCWD, file, kernel.OPath, 0)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	return syscall.Fstat(fd, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG && st.Mode&0o111 != 0
}
