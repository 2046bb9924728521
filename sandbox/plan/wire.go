package plan

import "unsafe"

// MaxPlan bounds an encoded plan.
const MaxPlan = 64 << 20

type writer struct{ b []byte }

func (w *writer) num(n uint64) {
	for ; n >= 0x80; n >>= 7 {
		w.b = append(w.b, byte(n)|0x80)
	}
	w.b = append(w.b, byte(n))
}

func (w *writer) str(s string) {
	w.num(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) strs(l []string) {
	w.num(uint64(len(l)))
	for _, s := range l {
		w.str(s)
	}
}

func (w *writer) flag(f bool) {
	if f {
		w.num(1)
		return
	}
	w.num(0)
}

// guess is about how long the plan is.
func (p *Plan) guess() int {
	n := 4<<10 + len(p.InitFilter) + len(p.AgentFilter) + 64*len(p.Rules)
	for i := range p.Steps {
		n += 32 + len(p.Steps[i].Target) + len(p.Steps[i].Source) + len(p.Steps[i].Data)
	}
	return n
}

// Encode writes the plan in a compact form: numbers as little-endian base 128,
// strings with their length before them.
func (p *Plan) Encode() []byte {
	w := &writer{b: make([]byte, 0, p.guess())}
	w.str(p.Hostname)
	w.num(uint64(len(p.Steps)))
	for i := range p.Steps {
		s := &p.Steps[i]
		w.num(uint64(s.Op))
		w.str(s.Target)
		w.str(s.Source)
		w.str(s.Data)
		w.num(s.Flags)
		w.num(s.Dev)
		w.num(s.Ino)
	}
	w.num(p.Handled)
	w.num(p.Scoped)
	w.num(uint64(len(p.Rules)))
	for _, r := range p.Rules {
		w.str(r.Path)
		w.num(r.Rights)
	}
	for _, r := range p.StdRights {
		w.num(r)
	}
	w.num(uint64(len(p.Ports)))
	for _, n := range p.Ports {
		w.num(uint64(n))
	}
	w.flag(p.Resolver)
	w.str(p.Socket)
	w.flag(p.Terminal)
	w.num(uint64(p.Rows))
	w.num(uint64(p.Cols))
	w.num(uint64(len(p.Limits)))
	for _, l := range p.Limits {
		w.num(uint64(l.Resource))
		w.num(l.Soft)
		w.num(l.Hard)
	}
	w.str(p.InitFilter)
	w.str(p.AgentFilter)
	w.num(uint64(len(p.Guards)))
	for i := range p.Guards {
		g := &p.Guards[i]
		w.str(g.Root)
		w.strs(g.Names)
		w.strs(g.Paths)
		w.strs(g.Allowed)
		w.strs(g.Mounts)
	}
	w.strs(p.Argv)
	w.strs(p.Env)
	w.str(p.Dir)
	w.flag(p.Probe)
	return w.b
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) num() uint64 {
	var n uint64
	for i := 0; i < len(r.b) && i < 10; i++ {
		c := r.b[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.b = r.b[i+1:]
			return n
		}
	}
	r.bad, r.b = true, nil
	return 0
}

func (r *reader) str() string {
	n := r.num()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := unsafe.String(unsafe.SliceData(r.b), n)
	r.b = r.b[n:]
	return s
}

// count reads a length of things that take at least one byte each.
func (r *reader) count() int {
	n := r.num()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reader) strs() []string {
	l := make([]string, r.count())
	for i := range l {
		l[i] = r.str()
	}
	return l
}

// Decode reads what Encode wrote; ok is false for anything else. The plan's
// strings lie in b, which must not change afterwards: fresh memory is dear while a
// sandbox starts.
func Decode(b []byte) (p *Plan, ok bool) {
	r := &reader{b: b}
	p = &Plan{Hostname: r.str()}
	p.Steps = make([]Step, r.count())
	for i := range p.Steps {
		p.Steps[i] = Step{Op: Op(r.num()), Target: r.str(), Source: r.str(), Data: r.str(),
			Flags: r.num(), Dev: r.num(), Ino: r.num()}
	}
	p.Handled, p.Scoped = r.num(), r.num()
	p.Rules = make([]Rule, r.count())
	for i := range p.Rules {
		p.Rules[i] = Rule{Path: r.str(), Rights: r.num()}
	}
	for i := range p.StdRights {
		p.StdRights[i] = r.num()
	}
	p.Ports = make([]uint16, r.count())
	for i := range p.Ports {
		p.Ports[i] = uint16(r.num())
	}
	p.Resolver = r.num() == 1
	p.Socket = r.str()
	p.Terminal = r.num() == 1
	p.Rows, p.Cols = uint16(r.num()), uint16(r.num())
	p.Limits = make([]Limit, r.count())
	for i := range p.Limits {
		p.Limits[i] = Limit{Resource: int(r.num()), Soft: r.num(), Hard: r.num()}
	}
	p.InitFilter, p.AgentFilter = r.str(), r.str()
	p.Guards = make([]Guard, r.count())
	for i := range p.Guards {
		p.Guards[i] = Guard{Root: r.str(), Names: r.strs(), Paths: r.strs(), Allowed: r.strs(), Mounts: r.strs()}
	}
	p.Argv, p.Env, p.Dir = r.strs(), r.strs(), r.str()
	p.Probe = r.num() == 1
	return p, !r.bad && len(r.b) == 0
}
