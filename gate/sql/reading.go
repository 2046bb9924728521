package sql

import (
	"slices"
	"strings"

	"ambit"
	"ambit/catalog/sql"
)

// readsValues says whether a setting decides what value a text is, such as a date. The
// database reports these as they change.
func readsValues(setting string) bool {
	return setting == "DateStyle" || setting == "IntervalStyle" || setting == "TimeZone"
}

// readAs notes which of these settings the agent chose at the start.
func (s *session) readAs(settings map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for chosen := range settings {
		for name, v := range s.up.Params {
			if readsValues(name) && strings.EqualFold(name, chosen) {
				s.reading[name] = v
			}
		}
	}
}

// readingText writes the settings that the agent chose in one line, "" for none. It is
// part of what an approval binds.
func (s *session) readingText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for name, v := range s.reading {
		all = append(all, name+"="+printable(v, 64))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// changes notes what is about to run: whether it writes, and whether it may change
// settings that the database reports only at the next Sync.
func (s *session) changes(r *run) {
	s.mu.Lock()
	chosen := len(s.reading) > 0
	s.mu.Unlock()
	for i := range r.acts {
		e := r.acts[i].Effect.Worst()
		s.wrote = s.wrote || e != ambit.Read
		s.unsure = s.unsure || e == ambit.Irreversible && r.acts[i].Resource.Kind == "database"
	}
	for i := range r.list {
		switch st := &r.list[i]; st.Kind {
		case sql.KindSession:
			s.unsure = true
		case sql.KindTransaction: // its end takes back what SET LOCAL did
			s.unsure = s.unsure || chosen && !begins(st.Text)
		}
	}
}

func begins(text string) bool {
	word, _, _ := strings.Cut(strings.ToUpper(text), " ")
	return word == "BEGIN" || word == "START"
}
