package wire

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"ambit"
)

// The messages of every action are packed and not JSON, which would cost more
// than all else that the daemon does for an action: numbers are big-endian
// uint64, texts and the canonical action are parts, each a big-endian uint32
// length and that many bytes. Nothing follows the last one.

// packer is a message that packs itself.
type packer interface{ pack(dst []byte) []byte }

// unpacker reads what its packer wrote, and refuses everything else.
type unpacker interface{ unpack(b []byte) error }

var errPacked = errors.New("the message is cut short, too long or no text")

func appendPart[T ~string | ~[]byte](dst []byte, p T) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(p))), p...)
}

// parts reads one part after the other. After the first that is not there, err
// is set and all others are empty.
type parts struct {
	b   []byte
	err error
}

func (p *parts) next() []byte {
	if p.err == nil && len(p.b) >= headSize {
		if n := binary.BigEndian.Uint32(p.b); uint64(n) <= uint64(len(p.b)-headSize) {
			part := p.b[headSize : headSize+n : headSize+n]
			p.b = p.b[headSize+n:]
			return part
		}
	}
	p.err = errPacked
	return nil
}

func (p *parts) text() string {
	b := p.next()
	if !utf8.Valid(b) {
		p.err = errPacked
	}
	return string(b)
}

func (p *parts) number() uint64 {
	if p.err != nil || len(p.b) < 8 {
		p.err = errPacked
		return 0
	}
	n := binary.BigEndian.Uint64(p.b)
	p.b = p.b[8:]
	return n
}

// end returns what went wrong, or that something follows.
func (p *parts) end() error {
	if p.err == nil && len(p.b) > 0 {
		p.err = errPacked
	}
	return p.err
}

func (i Intent) pack(dst []byte) []byte {
	dst = appendPart(dst, i.Action)
	dst = appendPart(dst, i.Decision.Verdict.String())
	dst = appendPart(dst, i.Decision.By)
	dst = appendPart(dst, i.Decision.Why)
	dst = appendPart(dst, i.Approval)
	return appendPart(dst, i.Why)
}

func (i *Intent) unpack(b []byte) error {
	p := parts{b: b}
	i.Action = p.next()
	verdict := p.next()
	i.Decision.By, i.Decision.Why = p.text(), p.text()
	i.Approval, i.Why = p.text(), p.text()
	if err := p.end(); err != nil {
		return err
	}
	return i.Decision.Verdict.UnmarshalText(verdict)
}

func (o Outcome) pack(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.Intent))
	return appendPart(appendPart(dst, o.Outcome.String()), o.Detail)
}

func (o *Outcome) unpack(b []byte) error {
	p := parts{b: b}
	o.Intent = ambit.RecordID(p.number())
	outcome := p.next()
	o.Detail = p.text()
	if err := p.end(); err != nil {
		return err
	}
	return o.Outcome.UnmarshalText(outcome)
}

func (r Recorded) pack(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(r.Record))
}

func (r *Recorded) unpack(b []byte) error {
	p := parts{b: b}
	r.Record = ambit.RecordID(p.number())
	return p.end()
}
