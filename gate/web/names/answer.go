package names

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxMessage = 4096
	ttl        = 300 // seconds; an address stays for the whole task
)

// query is what a packet asked.
type query struct {
	header   dnsmessage.Header
	question dnsmessage.Question
	edns     bool
	rcode    dnsmessage.RCode // not success when the query itself is wrong
}

// answer makes the reply to one packet, nil when it deserves none: it is no
// query, or too broken to reply to.
func (r *Resolver) answer(packet []byte) []byte {
	if len(packet) > maxMessage {
		return nil
	}
	q, ok := readQuery(packet)
	if !ok {
		return nil
	}
	if q.rcode != dnsmessage.RCodeSuccess {
		return reply(q, q.rcode, netip.Addr{})
	}
	host := strings.TrimSuffix(lower(q.question.Name.String()), ".")
	n, ok := r.number(host)
	if !ok {
		if !ownReverse(host) {
			r.report(printable(host))
		}
		return reply(q, dnsmessage.RCodeNameError, netip.Addr{})
	}
	switch q.question.Type {
	case dnsmessage.TypeA:
		return reply(q, dnsmessage.RCodeSuccess, address4(n))
	case dnsmessage.TypeAAAA:
		return reply(q, dnsmessage.RCodeSuccess, address6(n))
	}
	// Also HTTPS and SVCB: an encrypted client hello would hide the name that
	// the gate checks.
	return reply(q, dnsmessage.RCodeSuccess, netip.Addr{})
}

// readQuery reads a packet's header, its question and what there is beside it.
func readQuery(packet []byte) (query, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil || h.Response {
		return query{}, false
	}
	q := query{header: h}
	q.question, err = p.Question()
	if err != nil {
		q.rcode, q.question = dnsmessage.RCodeFormatError, dnsmessage.Question{}
		return q, true
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		q.rcode = dnsmessage.RCodeFormatError
		return q, true
	}
	switch {
	case h.OpCode != 0:
		q.rcode = dnsmessage.RCodeNotImplemented
	case q.question.Class != dnsmessage.ClassINET:
		q.rcode = dnsmessage.RCodeRefused
	case !q.rest(&p):
		q.rcode = dnsmessage.RCodeFormatError
	}
	return q, true
}

// rest reads what follows the question: nothing, or one EDNS record (RFC 6891).
func (q *query) rest(p *dnsmessage.Parser) bool {
	if _, err := p.AnswerHeader(); err != dnsmessage.ErrSectionDone {
		return false
	}
	if _, err := p.AuthorityHeader(); err != dnsmessage.ErrSectionDone {
		return false
	}
	for {
		h, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return true
		}
		if err != nil || h.Type == dnsmessage.TypeOPT && q.edns || p.SkipAdditional() != nil {
			return false
		}
		q.edns = q.edns || h.Type == dnsmessage.TypeOPT
	}
}

// reply builds the answer: the question as it was spelt, at most one address,
// and an EDNS record when the query had one. It fits in 512 bytes.
func reply(q query, rcode dnsmessage.RCode, addr netip.Addr) []byte {
	b := dnsmessage.NewBuilder(make([]byte, 0, 512), dnsmessage.Header{
		ID: q.header.ID, Response: true, OpCode: q.header.OpCode, Authoritative: true,
		RecursionDesired: q.header.RecursionDesired, RecursionAvailable: true, RCode: rcode,
	})
	b.EnableCompression()
	if err := fill(&b, q, addr); err != nil {
		return nil
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}

func fill(b *dnsmessage.Builder, q query, addr netip.Addr) error {
	if err := b.StartQuestions(); err != nil {
		return err
	}
	if q.question.Name.Length > 0 {
		if err := b.Question(q.question); err != nil {
			return err
		}
	}
	if err := b.StartAnswers(); err != nil {
		return err
	}
	h := dnsmessage.ResourceHeader{Name: q.question.Name, Class: dnsmessage.ClassINET, TTL: ttl}
	var err error
	switch {
	case addr.Is4():
		err = b.AResource(h, dnsmessage.AResource{A: addr.As4()})
	case addr.Is6():
		err = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: addr.As16()})
	}
	if err != nil || !q.edns {
		return err
	}
	if err := b.StartAdditionals(); err != nil {
		return err
	}
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(maxMessage, dnsmessage.RCodeSuccess, false); err != nil {
		return err
	}
	return b.OPTResource(opt, dnsmessage.OPTResource{})
}

// lower makes A to Z small and leaves all else: clients vary the case of their
// questions to be sure of the answer.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 0x20
		}
	}
	return string(b)
}

// ownReverse says whether a name asks what a synthetic address is called, as
// tools do to print it: refused, but nothing to report.
func ownReverse(host string) bool {
	return strings.HasSuffix(host, ".18.198.in-addr.arpa") || strings.HasSuffix(host, ".19.198.in-addr.arpa") ||
		strings.HasSuffix(host, ".4.7.9.6.2.6.d.6.1.6.d.f.ip6.arpa")
}

// printable writes a name that an agent chose so that it cannot change how a
// record or a terminal looks: bytes other than plain ones as \ddd (RFC 4343).
func printable(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c > 0x20 && c < 0x7f && c != '\\' && c != '"' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\%03d`, c)
		}
	}
	if b.Len() == 0 {
		return "."
	}
	return b.String()
}
