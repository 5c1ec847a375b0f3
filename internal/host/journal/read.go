package journal

import "os"

// Claimed lists the adapter of a team and then its members, as its journal says, if that is of this network namespace.
// It changes nothing, and without a journal there are none.
func Claimed(stateDir, name string) []string {
	s := ReadHere(PathOf(stateDir, name))
	if s == nil {
		return nil
	}
	names := []string{name}
	for _, m := range s.Members {
		if !m.Left {
			names = append(names, m.Name)
		}
	}
	return names
}

// ReadHere reads what a journal says, nil if it is none of this boot and network namespace, or of a team that has ended.
func ReadHere(path string) *State {
	s := Read(path)
	if s == nil || s.Begin == nil || s.Ended {
		return nil
	}
	here, err := Here()
	if of := s.Begin.Where(); err != nil || of.Boot != here.Boot || !of.Same(here) {
		return nil
	}
	return s
}

// Ended reports whether the journal of a team only keeps what is of NICs that were away when the team ended.
func Ended(stateDir, name string) bool {
	s := Read(PathOf(stateDir, name))
	return s != nil && s.Ended
}

// Read reads a journal without going on with it, nil if there is none that this program can read.
func Read(path string) *State {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := &State{}
	if _, err := scan(f, func(r Record, _ int64) { s.Apply(r) }); err != nil {
		return nil
	}
	return s
}
