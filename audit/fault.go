package audit

import (
	"encoding/json"
	"fmt"

	"ambit"
)

// Kind says what is wrong with a log. The zero value is unknown.
type Kind uint8

// The kinds of faults.
const (
	KindUnknown Kind = iota
	Edit             // bytes of a record, or of what seals it, were changed
	Deletion         // records in the middle are gone
	Reordering       // records stand in another order
	Insertion        // something stands where the writer put nothing, or stands twice
	Truncation       // records at the end are gone
	Fork             // the key signed two different histories
	Foreign          // it is signed by another key or is of another log
	Torn             // the end holds an unfinished write, which no checkpoint covers
	Invalid          // the writer itself signed what the format forbids
)

var kindNames = [...]string{"unknown", "edit", "deletion", "reordering", "insertion", "truncation", "fork", "foreign", "torn", "invalid"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Fault is the first thing that is wrong with a log.
type Fault struct {
	Kind    Kind
	Record  ambit.RecordID // the first record that cannot be trusted
	Through ambit.RecordID // the last one that the same finding is about, when more than one
	Segment int
	Offset  int // in the segment, in bytes
	Why     string

	cut  bool // the bytes stop in the middle of a frame
	tail bool // nothing that was ever acknowledged follows
	left bool // the writer had left the segment before it was read
	from int  // where the batch begins that the fault is in
}

// MarshalJSON writes kind, record, through, segment, offset and why.
func (f *Fault) MarshalJSON() ([]byte, error) {
	m := map[string]any{"kind": f.Kind.String(), "record": f.Record.String(), "why": f.Why}
	if f.Through > f.Record {
		m["through"] = f.Through.String()
	}
	if f.Segment > 0 {
		m["segment"], m["offset"] = f.Segment, f.Offset
	}
	return json.Marshal(m)
}

// Error names the kind, the record, the place and the reason.
func (f *Fault) Error() string {
	s := f.Kind.String() + " at " + f.Record.String()
	if f.Through > f.Record {
		s += ".." + f.Through.String()
	}
	if f.Segment > 0 {
		s += fmt.Sprintf(" (segment %06d, byte %d)", f.Segment, f.Offset)
	}
	return s + ": " + f.Why
}

// through sets the last record, when it is another than the first.
func (f *Fault) through(id int64) *Fault {
	if ambit.RecordID(id) > f.Record {
		f.Through = ambit.RecordID(id)
	}
	return f
}
