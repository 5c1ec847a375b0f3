package host

import "os"

// Claimed lists the adapter of a team and then its members, as its journal says, if that is of this network namespace.
// It changes nothing, and without a journal there are none.
func Claimed(stateDir, name string) []string {
	s := readState(journalPath(stateDir, name))
	if s == nil {
		return nil
	}
	names := []string{name}
	for _, m := range s.members {
		if !m.left {
			names = append(names, m.Name)
		}
	}
	return names
}

// readState reads what a journal says, nil if it is none of this boot and network namespace, or of a team that has ended.
func readState(path string) *state {
	s := stateIn(path)
	if s == nil || s.begin == nil || s.ended {
		return nil
	}
	here, err := whereabouts()
	if of := s.begin.where(); err != nil || of.boot != here.boot || !of.same(here) {
		return nil
	}
	return s
}

// Ended reports whether the journal of a team only keeps what is of NICs that were away when the team ended.
func Ended(stateDir, name string) bool {
	s := stateIn(journalPath(stateDir, name))
	return s != nil && s.ended
}

// stateIn reads a journal without going on with it, nil if there is none that this program can read.
func stateIn(path string) *state {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := &state{}
	if _, err := scan(f, func(r record, _ int64) { s.apply(r) }); err != nil {
		return nil
	}
	return s
}
