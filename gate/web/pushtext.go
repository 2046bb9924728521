package web

import (
	"fmt"
	"strings"

	"ambit/catalog/git"
)

// Bounds of what a person is shown of a push.
const (
	maxPreviewRefs    = 20
	maxRefShown       = 160
	maxPreviewCommits = 20 // of all refs
	maxSubjectShown   = 100
	shortID           = 12
)

// pushText shows a push: each ref with what becomes of it, and the commits that come
// with it. Subjects are the agent's own words, and are shown as such.
func (x *exchange) pushText() string {
	var b strings.Builder
	p := x.push
	fmt.Fprintf(&b, "a push that changes %d refs:\n", len(p.Commands))
	for _, c := range p.Commands[:min(len(p.Commands), maxPreviewRefs)] {
		fmt.Fprintf(&b, "  %s: %s\n", printable(c.Ref, maxRefShown), x.change(c))
	}
	if n := len(p.Commands) - maxPreviewRefs; n > 0 {
		fmt.Fprintf(&b, "  [%d MORE REFS are not shown]\n", n)
	}
	for _, o := range p.Options {
		fmt.Fprintf(&b, "  with the option %s\n", printable(o, maxRefShown))
	}
	x.commitLines(&b)
	b.WriteString("\n")
	return b.String()
}

// change says what becomes of a ref, by the operation that it was found to be.
func (x *exchange) change(c git.Command) string {
	from, to := c.Old[:shortID], c.New[:shortID]
	op := ""
	for i := range x.acts {
		if own, ok := x.command(&x.acts[i]); ok && own == c {
			op = x.acts[i].Operation
		}
	}
	switch {
	case c.Deletes():
		return "DELETED, was " + c.Old
	case c.Creates():
		return "new, at " + c.New
	case op == "git.push.update":
		return from + " -> " + to + ", all that was there stays"
	case strings.HasPrefix(c.Ref, "refs/tags/"):
		return from + " -> " + to + ", a TAG IS MOVED"
	}
	return from + " -> " + to + ", FORCE: commits that were there may be lost (" + c.Old + ")"
}

// commitLines lists the commits that come with the push, ref by ref.
func (x *exchange) commitLines(b *strings.Builder) {
	left := maxPreviewCommits
	for _, c := range x.push.Commands[:min(len(x.push.Commands), maxPreviewRefs)] {
		if c.Deletes() {
			continue
		}
		list, total := x.push.commits.NewCommits(c, left)
		left -= len(list)
		fmt.Fprintf(b, "%d commits come with %s%s\n", total, printable(c.Ref, maxRefShown), x.base(c))
		for _, k := range list {
			fmt.Fprintf(b, "  %s %s\n", k.ID[:shortID], printable(k.Subject, maxSubjectShown))
		}
		if total > len(list) {
			fmt.Fprintf(b, "  [%d more are not shown]\n", total-len(list))
		}
		if left == 0 {
			break
		}
	}
	if !x.push.commits.Full {
		b.WriteString("[there are more commits than were looked at]\n")
	}
}

// base says on which commits those of a ref stand that were seen. git puts commits
// first into a pack; who packs by hand can put some behind other things, where nobody
// looks, and the person must not take those that are shown for all.
func (x *exchange) base(c git.Command) string {
	shown, edge := x.push.commits.Descends(c, nil)
	switch {
	case shown:
		return ""
	case len(edge) == 1 && edge[0] == c.New:
		return ", the newest was not seen"
	case len(edge) == 0:
		return ", on top of nothing or of what was not looked at"
	}
	text := ", on top of " + edge[0][:shortID]
	if len(edge) > 1 {
		text += fmt.Sprintf(" and %d others", len(edge)-1)
	}
	return text + ", not looked at"
}
