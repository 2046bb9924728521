package catalog

import (
	"slices"
	"strings"

	"ambit"
	"ambit/catalog/git"
)

// opPushOther is a push that cannot be read, and one to refs that mean something
// of the server's own.
const opPushOther = "git.push.other"

// Group lists the operations that one name stands for in a grants file: pushing is
// what only adds. nil for a name that stands for itself.
func Group(name string) []string {
	if name == "git.push" {
		return []string{"git.push.create", "git.push.update", "git.lfs.write"}
	}
	return nil
}

// isReceivePack says whether the body begins with a push's commands.
func (r *Request) isReceivePack() bool {
	_, ok := cutTail(r.Segments, "git-receive-pack")
	return ok && r.Method == "POST"
}

// pushLimit is how much of a push is wanted: its commands, and more of its pack
// as long as that goes on with commits that may show what the push is.
func (r *Request) pushLimit() int {
	most := git.MaxCommands + git.MaxPrefix
	p, err := git.ReadPush(r.Body)
	if err != nil || r.BodyWhole || len(r.Body) < git.MaxCommands || git.ReadCommits(p.Format, r.Body[p.Size:]).Full {
		return max(git.MaxCommands, min(len(r.Body), most))
	}
	return min(4*len(r.Body), most)
}

// pushes makes of the one call of a push a call for each of its refs. A push that
// two readers could understand differently stays the one call, which cannot be
// undone.
func (r *Request) pushes(calls []Call) []Call {
	if len(calls) != 1 || calls[0].Operation != opPushOther || !r.isReceivePack() || !r.plainPush() {
		return calls
	}
	base := r.repository(calls[0].Resource)
	// A ref stands behind its repository: one that is itself served below "refs"
	// would be taken for a ref of the repository above it.
	if base.Kind == "http" && slices.Contains(base.Segments, "refs") {
		return calls
	}
	if r.BodyWhole && git.IsProbe(r.Body) {
		return []Call{{"git.fetch", ambit.Read, calls[0].Resource}}
	}
	p, err := git.ReadPush(r.Body)
	if err != nil {
		return calls
	}
	commits := git.ReadCommits(p.Format, r.Body[p.Size:])
	out := make([]Call, 0, len(p.Commands)+1)
	for _, c := range p.Commands {
		op, effect := r.push(c, p, commits)
		res := base
		res.Segments = append(slices.Clone(base.Segments), strings.Split(c.Ref, "/")...)
		out = append(out, Call{op, effect, res})
	}
	if len(p.Options) > 0 {
		out = append(out, Call{"git.push.options", ambit.Irreversible, calls[0].Resource})
	}
	return out
}

// plainPush says whether git's own server would read the body as it is read here:
// in another encoding, as another type, or by a later version of the protocol, it
// might not.
func (r *Request) plainPush() bool {
	if r.Query != "" || r.TrailingSlash || r.mediaType() != "application/x-git-receive-pack-request" {
		return false
	}
	for _, v := range r.header("Git-Protocol") {
		if v != "version=0" && v != "version=1" {
			return false
		}
	}
	return len(r.header("Content-Encoding")) == 0
}

// repository is the resource under which a repository's refs stand: itself, or the
// path at which it is served.
func (r *Request) repository(res ambit.Resource) ambit.Resource {
	if res.Kind == "http" {
		res.Segments = res.Segments[:len(res.Segments)-1]
	}
	return res
}

// push says what one command does. Force is found by ancestry, not by a flag, which
// is never sent: where it is not shown that the new commit keeps the old one, it
// counts as lost.
func (r *Request) push(c git.Command, p *git.Push, commits *git.Commits) (string, ambit.Effect) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(c.Ref, "refs/"), "/")
	switch {
	case c.Deletes():
		return "git.push.delete", ambit.Irreversible
	case kind != "heads" && kind != "tags" && kind != "notes":
		// Some servers merge, or change their own settings, by such a ref.
		return opPushOther, ambit.Irreversible
	case strings.HasPrefix(name, "-") || name == "HEAD" || strings.HasPrefix(name, "refs/"):
		// git makes no such branch: programs take it for an option, or for another ref.
		return opPushOther, ambit.Irreversible
	case c.Creates():
		return "git.push.create", ambit.Write
	case kind == "tags":
		return "git.push.force", ambit.Irreversible // a tag stands for one commit
	}
	if shown, _ := commits.Descends(c, p.Shallow); shown || r.Proven != nil && r.Proven(c.Old, c.New) {
		return "git.push.update", ambit.Write
	}
	return "git.push.force", ambit.Irreversible
}
