package catalog

import (
	"encoding/hex"
	"strconv"
	"strings"

	"ambit"
)

// git recognises git's own traffic below a repository's path: the smart
// protocol (git's Documentation/gitprotocol-http), Git LFS (git-lfs
// docs/api) and the plain files of the dumb protocol. Only the exact shape
// with its media type counts; the call still lacks its resource.
func (r *Request) git() (c Call, ok bool) {
	c, _, ok = r.gitShape()
	return c, ok
}

// gitShape also returns the segments before git's own, which name the
// repository.
func (r *Request) gitShape() (c Call, repo []string, ok bool) {
	if r.TrailingSlash {
		return Call{}, nil, false
	}
	if repo, ok = cutTail(r.Segments, "info", "refs"); ok {
		c, ok = r.gitRefs()
		return c, repo, ok
	}
	for _, service := range []string{"git-upload-pack", "git-upload-archive", "git-receive-pack"} {
		if repo, ok = cutTail(r.Segments, service); ok {
			c, ok = r.gitService(service)
			return c, repo, ok
		}
	}
	if i := lfsRoot(r.Segments); i >= 0 {
		c, ok = r.lfs(r.Segments[i+2:])
		return c, r.Segments[:i], ok
	}
	return r.dumbGit()
}

func cutTail(segs []string, tail ...string) ([]string, bool) {
	n := len(segs) - len(tail)
	if n < 0 {
		return nil, false
	}
	for i, t := range tail {
		if segs[n+i] != t {
			return nil, false
		}
	}
	return segs[:n], true
}

// gitRefs is the discovery of refs, which only reads, also when a push comes next:
// a person who is asked about that sees what it changes then. Any other query
// counts as a push: a second service parameter is read by some servers.
func (r *Request) gitRefs() (Call, bool) {
	if r.Method != "GET" && r.Method != "HEAD" {
		return Call{}, false
	}
	switch r.Query {
	case "", "service=git-upload-pack", "service=git-receive-pack":
		return Call{Operation: "git.fetch", Effect: ambit.Read}, true
	}
	return Call{Operation: opPushOther, Effect: ambit.Irreversible}, true
}

func (r *Request) gitService(service string) (Call, bool) {
	if r.Method != "POST" || r.Query != "" || r.mediaType() != "application/x-"+service+"-request" {
		return Call{}, false
	}
	if service == "git-receive-pack" {
		return Call{Operation: opPushOther, Effect: ambit.Irreversible}, true // see pushes
	}
	return Call{Operation: "git.fetch", Effect: ambit.Read}, true
}

func isObjectID(b []byte) bool {
	if len(b) != 40 && len(b) != 64 { // SHA-1, SHA-256
		return false
	}
	_, err := hex.Decode(make([]byte, len(b)/2), b)
	return err == nil
}

const lfsType = "application/vnd.git-lfs+json"

// lfsRoot is where "info", "lfs" stand in the path, -1 for nowhere.
func lfsRoot(segs []string) int {
	for i := 0; i+2 < len(segs); i++ {
		if segs[i] == "info" && segs[i+1] == "lfs" {
			return i
		}
	}
	return -1
}

// isLFS says whether the body tells a download from an upload.
func (r *Request) isLFS() bool {
	_, ok := cutTail(r.Segments, "info", "lfs", "objects", "batch")
	return ok && r.Method == "POST" && r.mediaType() == lfsType
}

func (r *Request) lfs(tail []string) (Call, bool) {
	switch {
	case r.Method == "GET" && len(tail) == 1 && tail[0] == "locks":
		return Call{Operation: "git.fetch", Effect: ambit.Read}, true
	case r.isLFSObject(tail):
		if r.Method == "PUT" {
			return Call{Operation: "git.lfs.write", Effect: ambit.Write}, true
		}
		return Call{Operation: "git.fetch", Effect: ambit.Read}, true
	case r.Method != "POST" || r.mediaType() != lfsType:
		return Call{}, false
	}
	switch strings.Join(tail, "/") {
	case "objects/batch":
		return r.lfsBatch(), true
	case "locks/verify", "verify":
		return Call{Operation: "git.fetch", Effect: ambit.Read}, true
	case "locks":
		return Call{Operation: "git.lfs.write", Effect: ambit.Write}, true
	}
	return Call{}, false
}

// isLFSObject says whether one large file goes to or comes from the server itself, by
// the SHA-256 of its content and its size (git-lfs docs/api/basic-transfers.md, whose
// addresses are each server's own: these are Gitea's and Forgejo's). Under such a name
// nothing can be replaced by something else.
func (r *Request) isLFSObject(tail []string) bool {
	if r.Method != "GET" && r.Method != "PUT" || r.Query != "" || len(tail) < 2 || len(tail) > 3 || tail[0] != "objects" || len(tail[1]) != 64 || !isObjectID([]byte(tail[1])) {
		return false
	}
	if len(tail) == 2 {
		return true
	}
	_, err := strconv.ParseUint(tail[2], 10, 63)
	return err == nil
}

// lfsBatch reads the operation of a batch (git-lfs docs/api/batch.md).
func (r *Request) lfsBatch() Call {
	if r.plainBody() {
		v, err := strictJSON(r.Body)
		if m, ok := v.(map[string]any); ok && err == nil {
			switch m["operation"] {
			case "download":
				return Call{Operation: "git.fetch", Effect: ambit.Read}
			case "upload":
				return Call{Operation: "git.lfs.write", Effect: ambit.Write}
			}
		}
	}
	return Call{Operation: "git.lfs.other", Effect: ambit.Irreversible}
}

// dumbGit is the plain files of a repository (gitprotocol-http, "Dumb Clients").
func (r *Request) dumbGit() (c Call, repo []string, ok bool) {
	if r.Method != "GET" && r.Method != "HEAD" {
		return Call{}, nil, false
	}
	c = Call{Operation: "git.fetch", Effect: ambit.Read}
	if repo, ok = cutTail(r.Segments, "HEAD"); ok {
		return c, repo, true
	}
	n := len(r.Segments) - 3
	if n < 0 || r.Segments[n] != "objects" {
		return Call{}, nil, false
	}
	dir, file := r.Segments[n+1], r.Segments[n+2]
	switch {
	case dir == "info" && (file == "packs" || file == "alternates" || file == "http-alternates"):
	case dir == "pack" && strings.HasPrefix(file, "pack-"):
	case len(dir) == 2 && isObjectID([]byte(dir+file)):
	default:
		return Call{}, nil, false
	}
	return c, r.Segments[:n], true
}

// oddPush says whether a request that is not in the exact shape of a push reaches
// what takes pushes all the same: git's own server looks at no query, others at no
// content type, at the slash at the end, or at capitals. As a mere POST it would pass
// where a push is narrowed, and force and delete would not be seen.
func (r *Request) oddPush() bool {
	switch n := len(r.Segments); {
	case r.Method == "GET" || r.Method == "HEAD" || r.Method == "OPTIONS":
		return false
	case n > 0 && strings.EqualFold(r.Segments[n-1], "git-receive-pack"):
		return true
	}
	for _, v := range r.header("Content-Type") {
		if strings.Contains(strings.ToLower(v), "git-receive-pack") {
			return true
		}
	}
	return false
}

// gitFile says whether a request names a file inside a repository: servers that
// let such be written (gitprotocol-http, "Dumb Clients") take a push without any
// command to read.
func (r *Request) gitFile() bool {
	for i, s := range r.Segments {
		switch s {
		case "refs", "objects", "hooks", "info":
			return true
		case "HEAD", "packed-refs", "config", "description":
			return i == len(r.Segments)-1
		}
	}
	return false
}
