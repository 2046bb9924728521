package git

import (
	"bytes"
	"hash"
	"strconv"
	"strings"
)

// Commit is one commit as its own bytes name it.
type Commit struct {
	ID      string
	Parents []string
	Subject string // the first line of the message, as it is; at most maxSubject bytes
}

// Bounds of a commit.
const (
	maxSubject = 512  // bytes that are kept
	maxParents = 1024 // an octopus has a few
)

// readCommit reads a commit as git does (parse_commit_buffer of git's commit.c):
// one tree, then the parents, each in its exact place. ok is false for all else.
func readCommit(f Format, h hash.Hash, b []byte) (c Commit, ok bool) {
	c.ID = f.name(h, "commit "+strconv.Itoa(len(b))+"\x00", b)
	id := 2 * f.bytes()
	tree, rest, ok := fixedLine(b, "tree ", id)
	if !ok || !f.isID(tree) {
		return Commit{}, false
	}
	for {
		p, after, ok := fixedLine(rest, "parent ", id)
		if !ok {
			break
		}
		if !f.isID(p) || len(c.Parents) == maxParents {
			return Commit{}, false
		}
		c.Parents = append(c.Parents, strings.ToLower(p))
		rest = after
	}
	if bytes.HasPrefix(rest, []byte("parent ")) {
		return Commit{}, false
	}
	_, message, _ := bytes.Cut(rest, []byte("\n\n"))
	subject, _, _ := bytes.Cut(bytes.TrimLeft(message, "\n"), []byte("\n"))
	c.Subject = string(subject[:min(len(subject), maxSubject)])
	return c, true
}

// fixedLine reads "word value\n" where the value has n bytes.
func fixedLine(b []byte, word string, n int) (value string, rest []byte, ok bool) {
	end := len(word) + n
	if len(b) <= end || string(b[:len(word)]) != word || b[end] != '\n' {
		return "", nil, false
	}
	return string(b[len(word):end]), b[end+1:], true
}
