package grants

import (
	"bytes"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// walker reads YAML nodes strictly: it takes only plain maps, lists and scalars
// of the wanted type, and goes on after an error to find the next.
type walker struct{ reporter }

// entry is one key of a map with its value.
type entry struct {
	key Text
	val *yaml.Node
}

// document reads the one document of src and refuses what YAML can hide in it.
// It returns nil when there is nothing to walk.
func (w *walker) document(src []byte) *yaml.Node {
	if len(src) > MaxFileSize {
		w.add(Pos{}, "split it: one file for each agent", "the file has %d bytes, at most %d", len(src), MaxFileSize)
		return nil
	}
	if !utf8.Valid(src) {
		w.add(Pos{}, "save it as UTF-8", "the file is not UTF-8")
		return nil
	}
	if !w.honest(string(src)) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		w.syntax(err)
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		w.add(nodePos(&more), "remove the line `---` and all after it", "a second document starts here: a grants file is one document")
	case !errors.Is(err, io.EOF):
		w.syntax(err)
	}
	if len(doc.Content) != 1 {
		w.syntax(io.EOF)
		return nil
	}
	root := doc.Content[0]
	if !w.plain(root, 0) {
		return nil
	}
	return root
}

// honest refuses letters by which a file shows other lines than it has: YAML
// 1.1 breaks lines at some that editors do not show as breaks, so that a comment
// could hide a grant, and others turn the order of letters around.
func (w *walker) honest(src string) bool {
	at := Pos{1, 1}
	for i, r := range src {
		bad := unicode.Is(unicode.Bidi_Control, r) || r == 0x85 || r == 0x2028 || r == 0x2029 || (r < ' ' && r != '\n' && r != '\t' && r != '\r')
		if r == '\r' && !strings.HasPrefix(src[i:], "\r\n") {
			bad = true
		}
		if bad {
			w.add(at, "remove it", "the character U+%04X makes the file look other than it is", r)
		}
		if at.Column++; r == '\n' {
			at = Pos{at.Line + 1, 1}
		}
	}
	return len(w.errs) == 0
}

// syntax reports the YAML library's own error with its line.
func (w *walker) syntax(err error) {
	if errors.Is(err, io.EOF) {
		w.add(Pos{}, "`ambit init` writes a file to start from", "the file is empty")
		return
	}
	p, msg := Pos{}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`^line (\d+): (.*)$`).FindStringSubmatch(msg); m != nil {
		n, _ := strconv.Atoi(m[1])
		p, msg = Pos{n, 1}, m[2]
	}
	w.add(p, "", "not readable as YAML: %s", msg)
}

// plain refuses anchors, aliases, tags, merge keys and depth, which make a file
// mean something else than it seems to, and values that look like a secret. It
// returns false when the tree must not be walked at all.
func (w *walker) plain(n *yaml.Node, depth int) bool {
	if depth > MaxDepth {
		w.add(nodePos(n), "", "nested more than %d deep", MaxDepth)
		return false
	}
	switch {
	case n.Kind == yaml.AliasNode:
		w.add(nodePos(n), "write the value out", "an alias (*%s) is not allowed: what a line grants must stand on it", n.Value)
		return true
	case n.Anchor != "":
		w.add(nodePos(n), "remove it", "an anchor (&%s) is not allowed: what a line grants must stand on it", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		w.add(nodePos(n), "remove it", "a tag (%s) is not allowed", n.Tag)
	case n.Kind == yaml.ScalarNode && looksSecret(n.Value):
		w.add(nodePos(n), credentialFix, "this looks like a secret: a grants file never holds one")
	}
	ok := true
	for _, c := range n.Content {
		ok = w.plain(c, depth+1) && ok
	}
	return ok
}

func nodePos(n *yaml.Node) Pos { return Pos{n.Line, n.Column} }

// kindName says what a node is, in words.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	}
	return "text"
}

// wrong reports a node of another type than wanted. An alias is reported
// already.
func (w *walker) wrong(n *yaml.Node, what, want string) {
	if n.Kind != yaml.AliasNode {
		w.add(nodePos(n), "", "%s must be %s, and is %s", what, want, kindName(n))
	}
}

// entries returns the keys of a map in order, each once.
func (w *walker) entries(n *yaml.Node, what string) []entry {
	if n.Kind != yaml.MappingNode {
		w.wrong(n, what, "a map (key: value)")
		return nil
	}
	var out []entry
	seen := make(map[string]Pos)
	for i := 0; i+1 < len(n.Content) && !w.full(); i += 2 {
		k := n.Content[i]
		if k.Value == "<<" && k.ShortTag() == "!!merge" {
			w.add(nodePos(k), "write the keys out", "a merge key (<<) is not allowed")
			continue
		}
		key, ok := w.text(k, "a key")
		if !ok {
			continue
		}
		if first, dup := seen[key.Value]; dup {
			w.add(key.Pos, "keep one of them", "%s appears twice here: first in line %d", show(key.Value), first.Line)
			continue
		}
		seen[key.Value] = key.Pos
		out = append(out, entry{key, n.Content[i+1]})
	}
	return out
}

// fields returns the values of a map whose keys are all known.
func (w *walker) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	out := make(map[string]*yaml.Node)
	for _, e := range w.entries(n, what) {
		if w.full() {
			break
		}
		if !slices.Contains(known, e.key.Value) {
			w.add(e.key.Pos, didYouMean(e.key.Value, known), "%s has no key %s", what, show(e.key.Value))
			continue
		}
		out[e.key.Value] = e.val
	}
	return out
}

// text returns a scalar that is text, on one line and with nothing invisible.
func (w *walker) text(n *yaml.Node, what string) (Text, bool) {
	t := Text{n.Value, nodePos(n)}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		w.add(t.Pos, "fill it in, or remove it", "%s is empty", what)
		return t, false
	case n.Kind != yaml.ScalarNode:
		w.wrong(n, what, "text")
		return t, false
	case n.ShortTag() != "!!str":
		w.add(t.Pos, "put it in quotes: "+quote(n.Value), "%s must be text, and is %s", what, kindName(n))
		return t, false
	}
	return t, w.visible(t, what, isGraphic)
}

// prose is text that people read: it may have several lines.
func (w *walker) prose(n *yaml.Node, what string) Text {
	t := Text{strings.TrimSpace(n.Value), nodePos(n)}
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		w.text(n, what)
		return Text{}
	}
	const most = 2000
	if len(t.Value) > most {
		w.add(t.Pos, "shorten it", "%s has %d bytes, at most %d", what, len(t.Value), most)
		return Text{}
	}
	// U+200C and U+200D join letters in several scripts; all else that is
	// invisible could show a person other words than those that count.
	if !w.visible(t, what, func(r rune) bool {
		return unicode.IsGraphic(r) || r == '\n' || r == '\t' || r == 0x200c || r == 0x200d
	}) {
		return Text{}
	}
	return t
}

func isGraphic(r rune) bool { return unicode.IsGraphic(r) }

func (w *walker) visible(t Text, what string, ok func(rune) bool) bool {
	if strings.TrimSpace(t.Value) == "" {
		w.add(t.Pos, "fill it in, or remove it", "%s is empty", what)
		return false
	}
	for _, r := range t.Value {
		if !ok(r) {
			w.add(t.Pos, "remove it", "%s holds an invisible character (U+%04X)", what, r)
			return false
		}
	}
	return true
}

// texts returns a text, or a list of them; never an empty list without an
// error.
func (w *walker) texts(n *yaml.Node, what string) []Text {
	if n.Kind != yaml.SequenceNode {
		if t, ok := w.text(n, what); ok {
			return []Text{t}
		}
		return nil
	}
	if len(n.Content) == 0 {
		w.add(nodePos(n), "fill it in, or remove it", "%s is an empty list", what)
	}
	var out []Text
	seen := make(map[string]bool)
	for _, c := range n.Content {
		if w.full() {
			break
		}
		t, ok := w.text(c, what)
		switch {
		case !ok:
		case seen[t.Value]:
			w.add(t.Pos, "remove one of them", "%s appears twice in the list", show(t.Value))
		default:
			seen[t.Value] = true
			out = append(out, t)
		}
	}
	return out
}

// items returns the members of a list.
func (w *walker) items(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		w.wrong(n, what, "a list (each item after a dash)")
		return nil
	}
	if len(n.Content) == 0 {
		w.add(nodePos(n), "fill it in, or remove it", "%s is an empty list", what)
	}
	return n.Content
}

// integer returns a whole number from lo to hi; 0 after an error.
func (w *walker) integer(n *yaml.Node, what string, lo, hi int) int {
	v, ok := w.number(n, what)
	if !ok {
		return 0
	}
	if v != math.Trunc(v) || v < float64(lo) || v > float64(hi) {
		w.add(nodePos(n), "", "%s must be a whole number from %d to %d", what, lo, hi)
		return 0
	}
	return int(v)
}

// number returns a decimal number without exponent, octal or other spelling
// that two readers could understand differently.
func (w *walker) number(n *yaml.Node, what string) (float64, bool) {
	if n.Kind != yaml.ScalarNode || (n.ShortTag() != "!!int" && n.ShortTag() != "!!float") {
		w.wrong(n, what, "a number")
		return 0, false
	}
	whole, part, dot := strings.Cut(n.Value, ".")
	if count(whole) < 0 || (dot && !shaped(part, digits, digits, 3)) {
		w.add(nodePos(n), "", "%s must be a plain decimal number", what)
		return 0, false
	}
	v, err := strconv.ParseFloat(n.Value, 64)
	return v, err == nil
}

// boolean returns true or false, written so.
func (w *walker) boolean(n *yaml.Node, what string) bool {
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool":
		w.wrong(n, what, "true or false")
	case n.Value != "true" && n.Value != "false":
		w.add(nodePos(n), "write it in small letters", "%s must be true or false", what)
	}
	return n.Value == "true"
}
