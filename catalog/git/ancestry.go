package git

import "slices"

// maxBoundary bounds the commits about which a server is asked.
const maxBoundary = 32

// Descends says whether old is an ancestor of the command's new object, by the
// commits alone; it never goes past a commit of which the pusher has no parents.
// When that is not shown, boundary lists the commits where the walk left what is
// known: nothing is shown unless one of them descends from old. It is nil when
// there are too many, or none.
func (c *Commits) Descends(cmd Command, shallow []string) (shown bool, boundary []string) {
	seen := map[string]bool{cmd.New: true}
	next := []string{cmd.New}
	for len(next) > 0 {
		id := next[0]
		next = next[1:]
		if id == cmd.Old {
			return true, nil
		}
		// A server that takes shallow pushes may cut its own history there, also of a
		// commit that it has with its parents.
		if slices.Contains(shallow, id) {
			continue
		}
		x, ok := c.Get(id)
		if !ok {
			boundary = append(boundary, id)
			continue
		}
		for _, p := range x.Parents {
			if !seen[p] {
				seen[p] = true
				next = append(next, p)
			}
		}
	}
	if len(boundary) > maxBoundary {
		return false, nil
	}
	return false, boundary
}

// NewCommits lists the commits of the pack that a command brings, from new to old,
// at most most of them, and says how many there are.
func (c *Commits) NewCommits(cmd Command, most int) (list []Commit, total int) {
	seen := map[string]bool{cmd.New: true, cmd.Old: true}
	next := []string{cmd.New}
	for len(next) > 0 {
		x, ok := c.Get(next[0])
		next = next[1:]
		if !ok {
			continue
		}
		if total++; len(list) < most {
			list = append(list, x)
		}
		for _, p := range x.Parents {
			if !seen[p] {
				seen[p] = true
				next = append(next, p)
			}
		}
	}
	return list, total
}
