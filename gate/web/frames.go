package web

import (
	"bufio"
	"io"
)

// frames passes one direction of a WebSocket on and searches what it carries:
// the payload of the messages as one stream, that of each control frame by
// itself. What it hands out are frames of its own making, so that what was
// decided is what is sent: a message in one frame stays in one, the fragments
// of others may be cut elsewhere (RFC 6455 section 5.4), and masks are fresh.
// No more than a buffer of a message is held.
type frames struct {
	src   *bufio.Reader
	agent bool // they come from the agent
	text  window
	found func(b []byte, at []span) error
	// parted ends the stream when the beginning of what was found has left with
	// an earlier message.
	parted error

	in    frame // whose payload is being read
	read  int64 // of its payload
	begun bool  // more fragments of the message follow
	op    byte  // of the next frame handed out of the message

	head    []byte // a part of headBuf to be handed out
	pay     []byte // payload to be handed out
	out     frame  // whose they are
	handed  int64  // of its payload
	keys    maskKeys
	headBuf [maxFrameHead]byte
	ctlBuf  [maxControl]byte

	closed bool // a close frame was read
	err    error
}

// newFrames passes on the frames that come from src. buf is for the payload: of
// at least twice the longest pattern.
func newFrames(src io.Reader, agent bool, m *matcher, buf []byte) *frames {
	f := &frames{src: bufio.NewReaderSize(src, readSize), agent: agent}
	f.text = window{m: m, buf: buf, found: f.foundInText}
	return f
}

// Read hands out frames that were searched. It waits only when it has nothing.
func (f *frames) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for n := 0; ; {
		n += f.hand(p[n:])
		switch {
		case n == len(p) || n > 0 && (f.err != nil || !f.ready()):
			return n, nil
		case f.err != nil:
			return 0, f.err
		}
		f.err = f.step()
	}
}

// hand hands out what is ready. A header waits for the first bytes behind it.
func (f *frames) hand(p []byte) int {
	if len(f.pay) == 0 && f.handed < f.out.length {
		return 0
	}
	n := copy(p, f.head)
	f.head = f.head[n:]
	k := min(len(p)-n, len(f.pay))
	if f.agent {
		mask(p[n:n+k], f.pay[:k], f.out.key, f.handed)
	} else {
		copy(p[n:], f.pay[:k])
	}
	f.pay = f.pay[k:]
	f.handed += int64(k)
	return n + k
}

// open begins a frame to be handed out.
func (f *frames) open(fin bool, op byte, length int64) {
	f.out, f.handed = frame{fin: fin, op: op, length: length}, 0
	if f.agent {
		f.out.key = f.keys.next()
	}
	f.head = f.out.append(f.headBuf[:0], f.agent)
}

// ready says whether the next step needs no waiting.
func (f *frames) ready() bool {
	b, _ := f.src.Peek(f.src.Buffered())
	if f.read < f.in.length {
		return len(b) > 0
	}
	_, n, err := f.peek(b)
	return !f.closed && (n > 0 || err != nil)
}

// peek reads the header at the beginning of b. It returns its length, or 0 when
// b does not hold all of it, or of a control frame.
func (f *frames) peek(b []byte) (frame, int, error) {
	h, n, err := parseFrame(b, f.agent)
	if h.control() && int64(len(b)-n) < h.length {
		n = 0
	}
	return h, n, err
}

// step reads one piece of payload, one header or one control frame.
func (f *frames) step() error {
	if f.read < f.in.length {
		return f.payload()
	}
	if f.closed {
		return f.drop()
	}
	h, err := f.next()
	switch {
	case err != nil:
		return err
	case h.control():
		return f.control(h)
	}
	return f.data(h)
}

// drop reads what comes behind a close frame, which means nothing (RFC 6455
// section 1.4), until the stream ends.
func (f *frames) drop() error {
	if _, err := io.Copy(io.Discard, f.src); err != nil {
		return err
	}
	return io.EOF
}

// next takes the next header.
func (f *frames) next() (frame, error) {
	for {
		b, _ := f.src.Peek(f.src.Buffered())
		h, n, err := f.peek(b)
		if err != nil {
			return h, err
		}
		if n > 0 {
			_, err := f.src.Discard(n)
			return h, err
		}
		if _, err := f.src.Peek(len(b) + 1); err != nil {
			if len(b) > 0 {
				err = unexpected(err)
			}
			return h, err
		}
	}
}

// data begins a frame of a message.
func (f *frames) data(h frame) error {
	switch {
	case h.op == opContinue && !f.begun:
		return &badFrame{f.agent, "it continues a message that was not begun"}
	case h.op != opContinue && f.begun:
		return &badFrame{f.agent, "it begins a message inside another"}
	case h.op != opContinue:
		f.op = h.op
	}
	f.begun = !h.fin
	f.in, f.read = h, 0
	if h.fin {
		f.open(true, f.op, int64(f.text.held())+h.length)
	}
	if h.length == 0 {
		f.text.room()
		return f.piece(0)
	}
	return nil
}

// payload reads on in a frame of a message.
func (f *frames) payload() error {
	room := f.text.room()
	room = room[:min(int64(len(room)), f.in.length-f.read)]
	n, err := f.src.Read(room)
	if n == 0 {
		return unexpected(err)
	}
	if f.agent {
		mask(room[:n], room[:n], f.in.key, f.read)
	}
	f.read += int64(n)
	return f.piece(n)
}

// piece searches the next n bytes of payload. What could begin a pattern is kept
// back until the message goes on, but not beyond its end: a peer answers whole
// messages.
func (f *frames) piece(n int) error {
	free := 0
	if f.read == f.in.length {
		free = f.text.m.slack
		if f.in.fin {
			free = wholly
		}
	}
	if err := f.text.add(n, free); err != nil {
		return err
	}
	f.pay = f.text.take()
	if !f.in.fin && len(f.pay) > 0 {
		f.open(false, f.op, int64(len(f.pay)))
		f.op = opContinue
	}
	return nil
}

// foundInText is told of what was found in messages. What began in an earlier
// one has left.
func (f *frames) foundInText(b []byte, at []span) error {
	for _, s := range at {
		if s.from+f.text.m.slack < f.text.clean {
			return f.parted
		}
	}
	return f.found(b, at)
}

// control passes a control frame on. It is whole in the buffer.
func (f *frames) control(h frame) error {
	b := f.ctlBuf[:h.length]
	if _, err := io.ReadFull(f.src, b); err != nil {
		return unexpected(err)
	}
	if f.agent {
		mask(b, b, h.key, 0)
	}
	if at := f.text.m.find(b); len(at) > 0 {
		if err := f.found(b, at); err != nil {
			return err
		}
	}
	f.open(true, h.op, h.length)
	f.pay = b
	f.closed = h.op == opClose
	return nil
}
