package git

// undelta applies a delta (gitformat-pack, "Deltified representation").
func (r *packReader) undelta(base, delta []byte) ([]byte, error) {
	from, delta, ok := deltaSize(delta)
	if !ok || from != len(base) {
		return nil, errStop
	}
	size, delta, ok := deltaSize(delta)
	if !ok {
		return nil, errStop
	}
	// A few bytes could else be made into any number of them.
	if r.inflated += size; r.inflated > maxInflated {
		return nil, errStop
	}
	out := make([]byte, 0, size)
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		var piece []byte
		if op&0x80 != 0 {
			if piece, delta, ok = copied(base, op, delta); !ok {
				return nil, errStop
			}
		} else {
			if op == 0 || int(op) > len(delta) {
				return nil, errStop
			}
			piece, delta = delta[:op], delta[op:]
		}
		if len(piece) > size-len(out) {
			return nil, errStop
		}
		out = append(out, piece...)
	}
	if len(out) != size {
		return nil, errStop
	}
	return out, nil
}

// copied reads the rest of an instruction that copies from the base.
func copied(base []byte, op byte, delta []byte) (piece, rest []byte, ok bool) {
	var v [7]int
	for i := range v {
		if op&(1<<i) == 0 {
			continue
		}
		if len(delta) == 0 {
			return nil, nil, false
		}
		v[i], delta = int(delta[0]), delta[1:]
	}
	from := v[0] | v[1]<<8 | v[2]<<16 | v[3]<<24
	size := v[4] | v[5]<<8 | v[6]<<16
	if size == 0 {
		size = 0x10000
	}
	if from > len(base) || size > len(base)-from {
		return nil, nil, false
	}
	return base[from : from+size], delta, true
}

// deltaSize reads one of the two sizes that a delta begins with.
func deltaSize(b []byte) (size int, rest []byte, ok bool) {
	for shift := 0; shift <= 21; shift += 7 {
		if len(b) == 0 {
			return 0, nil, false
		}
		c := b[0]
		b = b[1:]
		size |= int(c&0x7f) << shift
		if c&0x80 == 0 {
			return size, b, size <= maxObject
		}
	}
	return 0, nil, false
}
