package git

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a report, in bytes.
const (
	maxReason = 400
	maxNote   = 4 << 10
	bandData  = 8 << 10 // of one packet of a band, far below what the protocol takes
)

// ReportType is the media type of the answer to a push.
const ReportType = "application/x-git-receive-pack-result"

// CanReport says whether the pusher asked to be told what became of each ref.
func (p *Push) CanReport() bool { return p.Can("report-status") || p.Can("report-status-v2") }

// Report answers a push of which nothing was done, as git does (gitprotocol-pack,
// "Report Status"): each ref with why, and notes that git prints line by line.
// Both are made one plain line of printable text each.
func (p *Push) Report(why func(ref string) string, notes []string) []byte {
	status := appendPacket(nil, "unpack ok\n")
	for _, c := range p.Commands {
		status = appendPacket(status, "ng %s %s\n", c.Ref, plainLine(why(c.Ref), maxReason))
	}
	status = append(status, "0000"...)
	if !p.Can("side-band-64k") {
		return status
	}
	var b []byte
	for _, n := range notes {
		b = appendPacket(b, "\x02%s\n", plainLine(n, maxNote))
	}
	for len(status) > 0 {
		n := min(len(status), bandData)
		b = appendPacket(b, "\x01%s", status[:n])
		status = status[n:]
	}
	return append(b, "0000"...)
}

// MaxAnswered bounds what is looked at of a server's answer to a push, in bytes.
const MaxAnswered = 64 << 10

// Answered is what a server says that became of a push.
type Answered struct {
	Unpack string            // "ok", or why nothing was done
	Done   map[string]bool   // refs
	Reason map[string]string // why a ref was refused, by ref
}

// ReadAnswered reads a server's answer to the push, which may be cut after
// [MaxAnswered] bytes (gitprotocol-pack, "Report Status" and "Packfile Data"). What it
// says is the server's word.
func (p *Push) ReadAnswered(b []byte) (a Answered, err error) {
	if p.Can("side-band-64k") {
		if b, err = firstBand(b); err != nil {
			return a, err
		}
	}
	a = Answered{Done: map[string]bool{}, Reason: map[string]string{}}
	for {
		pkt, rest, err := nextPacket(b)
		if err != nil || pkt.data == nil {
			return a, err
		}
		b = rest
		word, line, _ := strings.Cut(strings.TrimSuffix(string(pkt.data), "\n"), " ")
		switch word {
		case "unpack":
			a.Unpack = line
		case "ok":
			if line != "" {
				a.Done[line] = true
			}
		case "ng":
			if ref, why, _ := strings.Cut(line, " "); ref != "" { // a line without one says nothing
				a.Reason[ref] = why
			}
		}
	}
}

// firstBand is what stands in the first band of several.
func firstBand(b []byte) (out []byte, err error) {
	for {
		pkt, rest, err := nextPacket(b)
		switch {
		case errors.Is(err, ErrShort) && len(out) > 0:
			return out, nil
		case err != nil:
			return nil, err
		case pkt.data == nil:
			return out, nil
		}
		if pkt.data[0] == 1 {
			out = append(out, pkt.data[1:]...)
		}
		b = rest
	}
}

// plainLine makes one line of s, cut at most bytes: what has no shape of its own, or
// turns text around, becomes a question mark.
func plainLine(s string, most int) string {
	var b strings.Builder
	for _, r := range strings.TrimRight(s, " \t\r\n") {
		switch {
		case r == '\t' || r == '\n':
			r = ' '
		case r == utf8.RuneError || !unicode.IsPrint(r) || unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > most-len("...") {
			b.WriteString("...")
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
