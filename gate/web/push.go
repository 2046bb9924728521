package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ambit"
	"ambit/catalog/git"
	"ambit/pipeline"
)

// push is a push of git on its way. Each of its refs is an action of its own; the
// push as a whole goes, or nothing of it.
type push struct {
	*git.Push
	commits *git.Commits
	repo    []string               // the resource behind which the refs stand
	proven  map[[2]string]bool     // from old to new: shown by the server
	refused map[string]answerError // by ref
	asking  int                    // refs that need a person

	answered *git.Answered // what the server said became of it; nil for nothing that was read
}

// isProven implements [Request.Proven]; a nil push shows nothing.
func (p *push) isProven(old, new string) bool { return p != nil && p.proven[[2]string{old, new}] }

// isPush says whether an action is about one ref of a push.
func isPush(a *ambit.Action) bool {
	switch a.Operation {
	case "git.push.create", "git.push.update", "git.push.force", "git.push.delete", "git.push.other", "git.push.options":
		return true
	}
	return false
}

// readPush keeps the commands of a push that the classifier took apart, and asks
// the server what the pack alone does not show.
func (x *exchange) readPush(ctx context.Context) *refusal {
	if !isPush(&x.acts[0]) || x.in.header.Get("Content-Encoding") != "" {
		return nil
	}
	p, err := git.ReadPush(x.prefix)
	if err != nil {
		return nil // one action that cannot be undone, bound to its bytes like any other
	}
	x.push = &push{Push: p, commits: git.ReadCommits(p.Format, x.prefix[p.Size:]), refused: map[string]answerError{}}
	// Only what the classifier itself took apart is bound by its commands: of all else
	// a server might read other ones.
	if !x.takenApart() {
		x.push = nil
		return nil
	}
	if !slices.ContainsFunc(x.acts, func(a ambit.Action) bool { return a.Operation == "git.push.force" }) {
		return nil
	}
	if x.askServer(ctx); len(x.push.proven) == 0 {
		return nil
	}
	acts, bad := x.actionsFor(x.r)
	if bad == nil {
		x.acts = acts
	}
	return bad
}

// takenApart says whether each command has its own action, in its place.
func (x *exchange) takenApart() bool {
	if len(x.acts) < len(x.push.Commands) {
		return false
	}
	first := x.acts[0].Resource.Segments
	n := len(first) - strings.Count(x.push.Commands[0].Ref, "/") - 1
	if n < 1 {
		return false
	}
	x.push.repo = first[:n]
	for i, c := range x.push.Commands {
		if own, ok := x.command(&x.acts[i]); !ok || own != c {
			return false
		}
	}
	return true
}

// bindPush gives each ref's action its own arguments. They bind the commands and
// not the pack, which git makes anew for each try: the name of the new commit
// stands for all that it holds.
func (x *exchange) bindPush(args map[string]string) {
	sum := sha256.Sum256(x.push.Plain())
	args["push-sha256"], args["fields-sha256"] = hex.EncodeToString(sum[:]), fieldsDigest(x.in.header)
	if len(x.push.Options) > 0 {
		args["push-options"] = printable(strings.Join(x.push.Options, " "), 1024)
	}
	for i := range x.acts {
		if c, ok := x.command(&x.acts[i]); ok {
			own := maps.Clone(args)
			own["old"], own["new"] = c.Old, c.New
			x.acts[i].Args = own
		}
	}
	x.bound = true
}

// command is the command that an action stands for. Its ref is all that stands behind
// the repository: refs/heads/a is not the end of refs/heads/refs/heads/a, or a person
// would be shown the one and told what becomes of the other.
func (x *exchange) command(a *ambit.Action) (git.Command, bool) {
	segs, n := a.Resource.Segments, len(x.push.repo)
	if len(segs) <= n || !slices.Equal(segs[:n], x.push.repo) {
		return git.Command{}, false
	}
	ref := strings.Join(segs[n:], "/")
	i := slices.IndexFunc(x.push.Commands, func(c git.Command) bool { return c.Ref == ref })
	if i < 0 {
		return git.Command{}, false
	}
	return x.push.Commands[i], true
}

// doPush takes the refs of a push through the pipeline. Those that will be denied
// come first, and all of them, so that each is recorded and nobody is asked about a
// push that cannot go.
func (x *exchange) doPush(ctx context.Context) error {
	var rest []ambit.Action
	var first error
	for _, a := range x.acts {
		if x.g.c.Foresee == nil || x.g.c.Foresee(&a) != ambit.Deny {
			rest = append(rest, a)
			continue
		}
		err := x.g.c.Do.Do(ctx, a, nil, func(context.Context, pipeline.Permit) (ambit.Outcome, string, error) {
			return ambit.Refused, "another ref of the push was refused", errAnotherRef
		})
		if p, ok := errors.AsType[*pipeline.Refusal](err); ok {
			x.refuseRef(p)
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	// Who needs a person is asked last, when all else is permitted.
	if x.g.c.Foresee != nil {
		slices.SortStableFunc(rest, func(a, b ambit.Action) int { return int(x.g.c.Foresee(&b)) - int(x.g.c.Foresee(&a)) })
		for i := range rest {
			if x.g.c.Foresee(&rest[i]) == ambit.Ask {
				x.push.asking++
			}
		}
	}
	err := x.do(ctx, rest)
	if p, ok := errors.AsType[*pipeline.Refusal](err); ok {
		x.refuseRef(p)
	}
	return err
}

var errAnotherRef = &refusal{code: pipeline.CodeDenied, why: "another ref of this push was refused"}

// refuseRef keeps what is told of the ref that a refusal is about.
func (x *exchange) refuseRef(p *pipeline.Refusal) {
	e := told(p, time.Now())
	if c, ok := x.command(&p.Action); ok {
		x.push.refused[c.Ref] = e
		return
	}
	x.push.refused[""] = e // the options
}

// report tells git in its own report-status that nothing of the push was done; false
// when git did not ask for one, or its pack is too long to be read to the end.
func (x *exchange) report(e answerError) bool {
	if !x.push.CanReport() || x.started || !x.drain() {
		return false
	}
	why := func(ref string) string {
		r, ok := x.push.refused[ref]
		switch {
		case ok && r.Code == pipeline.CodePending:
			return fmt.Sprintf("waits for a person, ticket %s: push again once it is approved (record %s)", r.Ticket, r.Record)
		case ok:
			return fmt.Sprintf("refused by ambit: %s (record %s)", r.Why, r.Record)
		case len(x.push.refused) > 0:
			return "not pushed: another part of this push was refused"
		}
		return fmt.Sprintf("refused by ambit: %s (record %s)", e.Why, e.Record)
	}
	e.send(x.w, http.StatusOK, git.ReportType, x.push.Report(why, x.notes(e)))
	return true
}

// notes are the lines that git prints beside its report.
func (x *exchange) notes(e answerError) (out []string) {
	add := func(r answerError) {
		out = append(out, fmt.Sprintf("ambit: %s: %s (%s, record %s)", r.Refused, r.Why, r.Code, r.Record))
		if r.Instead != "" {
			out = append(out, strings.Split(r.Instead, "\n")...)
		}
	}
	if len(x.push.refused) == 0 {
		add(e)
	}
	pending := false
	for _, ref := range slices.Sorted(maps.Keys(x.push.refused)) {
		add(x.push.refused[ref])
		pending = pending || x.push.refused[ref].Code == pipeline.CodePending
	}
	if pending && x.push.asking > 1 {
		// An approval is used once: that of one ref would be gone when the next is asked.
		out = append(out, fmt.Sprintf("%d refs of this push need a person: push them one at a time", x.push.asking))
	}
	return out
}

// maxPushDrain is how much of a refused push is read and thrown away, in bytes: git
// reads no answer before it has sent all.
const maxPushDrain = 4 << 30

// drain reads the rest of the body, and says whether it came to its end.
func (x *exchange) drain() bool {
	if x.whole || x.in.body == nil {
		return true
	}
	buf := x.g.buffers.get()
	defer x.g.buffers.put(buf)
	n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{io.LimitReader(x.in.body, maxPushDrain)}, buf[:])
	return err == nil && n < maxPushDrain
}

// asksForRefs says whether git asks what refs there are: it prints a refusal of that
// when it is plain text.
func (x *exchange) asksForRefs() bool {
	segs := x.in.url.segs
	n := len(segs)
	return n >= 2 && segs[n-2] == "info" && segs[n-1] == "refs" && strings.HasPrefix(x.in.url.query, "service=git-")
}

// isLFS says whether git's client of large files asks.
func (x *exchange) isLFS() bool {
	segs := x.in.url.segs
	i := slices.Index(segs, "lfs")
	return i > 0 && segs[i-1] == "info"
}

// writeLFS sends the refusal in the form that git-lfs prints (git-lfs docs/api/batch.md,
// "Response Errors"), and in the usual one beside it.
func (e answerError) writeLFS(w http.ResponseWriter, status int) {
	body, err := json.Marshal(struct {
		Message string `json:"message"`
		answer
	}{fmt.Sprintf("ambit: %s: %s (%s, record %s)", e.Refused, e.Why, e.Code, e.Record), answer{e}})
	if err != nil { // strings and numbers cannot fail
		body = nil
	}
	e.send(w, status, "application/vnd.git-lfs+json", body)
}

// writeText sends the refusal as lines of text.
func (e answerError) writeText(w http.ResponseWriter, status int) {
	text := fmt.Sprintf("ambit: %s: %s (%s, record %s)\n", e.Refused, e.Why, e.Code, e.Record)
	if e.Ticket != "" {
		text += "ticket " + e.Ticket + "\n"
	}
	if e.Instead != "" {
		text += e.Instead + "\n"
	}
	e.send(w, status, "text/plain", []byte(text))
}
