package git

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxCommands bounds the part of a push that stands before its pack, in bytes.
const MaxCommands = 64 << 10

// Bounds of what is read of a push.
const (
	maxRef     = 1024 // bytes
	maxRefs    = 256
	maxOptions = 32
	maxShallow = 256
)

// Push is what a push asks for: all that stands before its pack.
type Push struct {
	Commands     []Command
	Shallow      []string // commits whose parents the pusher does not have
	Capabilities []string // as negotiated
	Options      []string // push options, which mean what the server likes
	Format       Format
	Size         int // bytes before the pack
}

// Command asks for one ref to be created, moved or deleted.
type Command struct {
	Old, New string // object names in lower case; zeros for none
	Ref      string // its whole name, such as refs/heads/main
}

// Creates says that the ref must not exist yet.
func (c Command) Creates() bool { return zero(c.Old) && !zero(c.New) }

// Deletes says that the ref will be gone.
func (c Command) Deletes() bool { return zero(c.New) }

// zero says whether an object's name stands for none.
func zero(id string) bool { return strings.Trim(id, "0") == "" }

// IsProbe says whether a body is the one with which git asks whether it may push,
// before a large push: a flush and nothing else.
func IsProbe(body []byte) bool { return string(body) == "0000" }

// ReadPush reads the beginning of a push's body (gitprotocol-pack, "Reference
// Update Request and Packfile Transfer"). It returns [ErrShort] when more bytes
// may help, and [ErrUnclear] for all that git's own reader could understand
// differently, and for what is not read here: signed pushes, and capabilities
// that nobody here knows.
func ReadPush(b []byte) (*Push, error) {
	p := &Push{}
	at := b
	for {
		pkt, rest, err := nextPacket(at)
		if err != nil {
			return nil, err
		}
		at = rest
		if pkt.flush() {
			break
		}
		if pkt.data == nil {
			return nil, ErrUnclear
		}
		if err := p.line(pkt.data); err != nil {
			return nil, err
		}
	}
	if len(p.Commands) == 0 || slices.ContainsFunc(p.Shallow, func(s string) bool { return !p.objectID(s) }) {
		return nil, ErrUnclear
	}
	at, err := p.options(at)
	if err != nil {
		return nil, err
	}
	p.Size = len(b) - len(at)
	// Behind the commands stands a pack, or nothing.
	if n := min(len(at), 4); string(at[:n]) != "PACK"[:n] {
		return nil, ErrUnclear
	}
	return p, nil
}

func (p *Push) line(b []byte) error {
	line, caps, first := strings.Cut(string(b), "\x00")
	line = strings.TrimSuffix(line, "\n")
	if len(p.Capabilities) > 0 && first {
		return ErrUnclear // git takes the last list of several
	}
	if first {
		if err := p.capabilities(strings.TrimSuffix(caps, "\n")); err != nil {
			return err
		}
	}
	if oid, ok := strings.CutPrefix(line, "shallow "); ok {
		// These lines come first: the format is not known yet.
		if !SHA1.isID(oid) && !SHA256.isID(oid) || len(p.Shallow) == maxShallow {
			return ErrUnclear
		}
		p.Shallow = append(p.Shallow, strings.ToLower(oid))
		return nil
	}
	f := strings.SplitN(line, " ", 3)
	if len(f) != 3 || !p.objectID(f[0]) || !p.objectID(f[1]) || !IsRef(f[2]) || len(p.Commands) == maxRefs {
		return ErrUnclear
	}
	c := Command{Old: strings.ToLower(f[0]), New: strings.ToLower(f[1]), Ref: f[2]}
	if slices.ContainsFunc(p.Commands, func(o Command) bool { return o.Ref == c.Ref }) {
		return ErrUnclear
	}
	p.Commands = append(p.Commands, c)
	return nil
}

// capabilities keeps what was negotiated. One that is not known here could change
// how the rest is read.
func (p *Push) capabilities(s string) error {
	for c := range strings.FieldsSeq(s) {
		name, value, _ := strings.Cut(c, "=")
		switch name {
		case "report-status", "report-status-v2", "side-band-64k", "quiet", "atomic", "ofs-delta", "delete-refs", "push-options", "agent", "session-id":
		case "object-format":
			switch value {
			case "sha1":
			case "sha256":
				p.Format = SHA256
			default:
				return ErrUnclear
			}
		default:
			return ErrUnclear
		}
		if !utf8.ValidString(c) || slices.Contains(p.Capabilities, c) {
			return ErrUnclear
		}
		p.Capabilities = append(p.Capabilities, c)
	}
	return nil
}

// Can says whether a capability was negotiated.
func (p *Push) Can(name string) bool { return slices.Contains(p.Capabilities, name) }

func (p *Push) options(b []byte) ([]byte, error) {
	if !p.Can("push-options") {
		return b, nil
	}
	for {
		pkt, rest, err := nextPacket(b)
		if err != nil {
			return nil, err
		}
		if b = rest; pkt.flush() {
			return b, nil
		}
		o := strings.TrimSuffix(string(pkt.data), "\n")
		if pkt.data == nil || len(p.Options) == maxOptions || len(o) > maxRef || !utf8.ValidString(o) || strings.Contains(o, "\x00") {
			return nil, ErrUnclear
		}
		p.Options = append(p.Options, o)
	}
}

// objectID says whether s is the name of an object in the push's own format: the
// capabilities stand in the first line, behind its names.
func (p *Push) objectID(s string) bool { return p.Format.isID(s) }

// IsRef says whether a ref's name is one that git takes, in its plain form
// (git-check-ref-format).
func IsRef(s string) bool {
	rest, ok := strings.CutPrefix(s, "refs/")
	if !ok || len(s) > maxRef || !utf8.ValidString(s) || strings.Contains(s, "..") || strings.Contains(s, "@{") {
		return false
	}
	for seg := range strings.SplitSeq(rest, "/") {
		if seg == "" || seg[0] == '.' || strings.HasSuffix(seg, ".lock") || strings.HasSuffix(seg, ".") {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) })
}

// Plain is the push as an approval binds it: all that decides what it does, and
// nothing that changes from one try to the next. The names of the new objects
// stand for their contents.
func (p *Push) Plain() []byte {
	var b bytes.Buffer
	for _, c := range p.Commands {
		b.WriteString(c.Old + " " + c.New + " " + c.Ref + "\n")
	}
	for _, s := range p.Shallow {
		b.WriteString("shallow " + s + "\n")
	}
	caps := slices.DeleteFunc(slices.Clone(p.Capabilities), func(c string) bool {
		return strings.HasPrefix(c, "agent=") || strings.HasPrefix(c, "session-id=") || c == "quiet"
	})
	slices.Sort(caps)
	b.WriteString("with " + strings.Join(caps, " ") + "\n")
	for _, o := range p.Options {
		b.WriteString("option " + o + "\x00\n")
	}
	return b.Bytes()
}
