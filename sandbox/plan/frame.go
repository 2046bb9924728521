package plan

// Frame is the kind of a message between the gatekeeper and init. Each is five
// bytes of header, the kind and the payload's length (little-endian), and the
// payload.
type Frame uint8

// The frames. Descriptors travel with the header of Ready.
const (
	_        Frame = iota
	Build          // → init: an encoded plan
	Ready          // ← init: the walls are up; payload: notes, one a line; descriptors: [terminal] [udp53 tcp53] [socket] ports…
	Fault          // ← init: the walls could not be built, payload says why; init ends
	Go             // → init: start the command
	Started        // ← init: it runs
	NotFound       // ← init: the command could not be started, payload says why
	Signal         // → init: one byte, a signal for the command
	Exited         // ← init: two bytes, exit code and signal of the command; init ends
)

// HeaderLen is the length of a frame's header.
const HeaderLen = 5

// Name is argv[0] of init.
const Name = "ambit: sandbox init"

// ControlFD is init's end of the socket pair.
const ControlFD = 3

// Head makes a frame's header.
func Head(f Frame, n int) [HeaderLen]byte {
	return [HeaderLen]byte{byte(f), byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
}

// Unhead reads a frame's header.
func Unhead(h [HeaderLen]byte) (Frame, int) {
	return Frame(h[0]), int(h[1]) | int(h[2])<<8 | int(h[3])<<16 | int(h[4])<<24
}
