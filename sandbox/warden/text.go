package warden

// Work on short texts. Packages strings, bytes and fmt would do it, but they are
// initialised late, and the sandbox's init cannot wait for them: see
// [ambit/sandbox/stage].

// fault is a failure with its cause.
type fault struct {
	what  string
	cause error
}

func (f *fault) Error() string { return f.what + ": " + f.cause.Error() }

// Unwrap returns the cause.
func (f *fault) Unwrap() error { return f.cause }

// because returns the failure to do what the text says, with its cause.
func because(what string, cause error) error { return &fault{what, cause} }

// index returns where c is first in s; -1 when it is not there.
func index(s string, c byte) int {
	for i := range len(s) {
		if s[i] == c {
			return i
		}
	}
	return -1
}

// lastIndex returns where c is last in s; -1 when it is not there.
func lastIndex(s string, c byte) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == c {
			return i
		}
	}
	return -1
}

func count(s string, c byte) (n int) {
	for i := range len(s) {
		if s[i] == c {
			n++
		}
	}
	return n
}

func hasPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && s[:len(prefix)] == prefix
}

func hasSuffix(s, suffix string) bool {
	return len(s) >= len(suffix) && s[len(s)-len(suffix):] == suffix
}

// before returns what stands before the first c of s, and what behind it; all
// of s and nothing when there is none.
func before(s string, c byte) (head, rest string) {
	if i := index(s, c); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// split returns the names of a path.
func split(path string) []string {
	names := make([]string, 0, count(path, '/')+1)
	for {
		i := index(path, '/')
		if i < 0 {
			return append(names, path)
		}
		names, path = append(names, path[:i]), path[i+1:]
	}
}

// join makes a path of names.
func join(names []string) string {
	if len(names) == 0 {
		return ""
	}
	n := len(names) - 1
	for _, s := range names {
		n += len(s)
	}
	b := append(make([]byte, 0, n), names[0]...)
	for _, s := range names[1:] {
		b = append(append(b, '/'), s...)
	}
	return string(b)
}

// withoutSlashes takes the slashes at the beginning away.
func withoutSlashes(path string) string {
	for path != "" && path[0] == '/' {
		path = path[1:]
	}
	return path
}

// withoutSlash takes one slash at the end away.
func withoutSlash(path string) string {
	if hasSuffix(path, "/") {
		return path[:len(path)-1]
	}
	return path
}
