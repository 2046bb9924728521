package git

import (
	"bytes"
	"io"
	"strings"
)

// Media types of the smart protocol (gitprotocol-http).
const (
	AdvertisementType = "application/x-git-upload-pack-advertisement"
	AskType           = "application/x-git-upload-pack-request"
	AnswerType        = "application/x-git-upload-pack-result"
)

// MaxAdvertisement bounds what is read of a server's capabilities, in bytes.
const MaxAdvertisement = 64 << 10

// Server is what a server says that it can (gitprotocol-v2, "Capability
// Advertisement").
type Server struct {
	Filters bool // it can leave trees and blobs out
	Format  Format
}

// ReadServer reads a version 2 advertisement; any other is an error.
func ReadServer(b []byte) (s Server, err error) {
	p, rest, err := nextPacket(b)
	if err == nil && bytes.HasPrefix(p.data, []byte("# service=")) {
		// Some servers say which service it is, as before version 2.
		if p, rest, err = nextPacket(rest); err == nil && p.flush() {
			p, rest, err = nextPacket(rest)
		}
	}
	if err != nil || strings.TrimSuffix(string(p.data), "\n") != "version 2" {
		return Server{}, ErrUnclear
	}
	fetches := false
	for {
		if p, rest, err = nextPacket(rest); err != nil {
			return Server{}, err
		}
		if p.data == nil {
			break
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(string(p.data), "\n"), "=")
		switch {
		case name == "fetch":
			fetches = true
			s.Filters = strings.Contains(" "+value+" ", " filter ")
		case name == "object-format" && value == "sha256":
			s.Format = SHA256
		}
	}
	if !fetches {
		return Server{}, ErrUnclear
	}
	return s, nil
}

// Ask is the body of a request for the commits that lead from have to wants
// (gitprotocol-v2, "fetch"). A server that can filter sends nothing else.
func (s Server) Ask(wants []string, have string) []byte {
	b := appendPacket(nil, "command=fetch\n")
	b = appendPacket(b, "object-format=%s\n", s.Format)
	b = append(b, "0001"...)
	b = appendPacket(b, "ofs-delta\n")
	b = appendPacket(b, "no-progress\n")
	if s.Filters {
		b = appendPacket(b, "filter tree:0\n")
	}
	for _, w := range wants {
		b = appendPacket(b, "want %s\n", w)
	}
	b = appendPacket(b, "have %s\n", have)
	b = appendPacket(b, "done\n")
	return append(b, "0000"...)
}

// ReadAnswer returns the beginning of the pack that a server sent, at most
// [MaxPrefix] bytes. Anything but a pack is an error: a server that lacks one of the
// commits, or that has only a part of the history itself.
func ReadAnswer(r io.Reader) ([]byte, error) {
	line, err := readPacket(r)
	if err != nil {
		return nil, err
	}
	if strings.TrimSuffix(string(line.data), "\n") != "packfile" {
		return nil, ErrUnclear
	}
	var pack []byte
	for len(pack) < MaxPrefix {
		p, err := readPacket(r)
		switch {
		case err != nil:
			return nil, err
		case p.data == nil:
			return pack, nil
		}
		switch p.data[0] {
		case 1:
			pack = append(pack, p.data[1:]...)
		case 2: // progress
		default:
			return nil, ErrUnclear
		}
	}
	return pack[:MaxPrefix], nil
}

// readPacket reads one pkt-line from a stream.
func readPacket(r io.Reader) (packet, error) {
	var head [lengthBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return packet{}, err
	}
	n := 0
	for _, c := range head {
		d := hexDigit(c)
		if d < 0 {
			return packet{}, ErrUnclear
		}
		n = n<<4 | d
	}
	if n < 3 {
		return packet{mark: n}, nil
	}
	if n <= lengthBytes || n > maxPacket {
		return packet{}, ErrUnclear
	}
	b := make([]byte, n-lengthBytes)
	_, err := io.ReadFull(r, b)
	return packet{data: b}, err
}
