// SPDX-License-Identifier: MIT

package journal

import (
	"errors"
	"os"
)

// Claimed returns the adapter and the members of a team according to its journal, nil if that is of another network
// namespace. It changes nothing.
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

// ReadHere reads a journal; nil if it is of another boot or network namespace, or its team has ended.
func ReadHere(path string) *State {
	s := Read(path)
	if s == nil || s.Begin == nil || s.Ended {
		return nil
	}
	here, err := Here()
	if of := s.Begin.Location(); err != nil || of.Boot != here.Boot || !of.Same(here) {
		return nil
	}
	return s
}

// Ended reports whether the journal only keeps the config of NICs that were absent when the team ended.
func Ended(stateDir, name string) bool {
	s := Read(PathOf(stateDir, name))
	return s != nil && s.Ended
}

// Read reads a journal without opening it for writing; nil if this program cannot read it.
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

// OfNewer reports whether a newer program wrote a team's journal: this one cannot put the host back.
func OfNewer(stateDir, name string) bool {
	f, err := os.Open(PathOf(stateDir, name))
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = scan(f, func(Record, int64) {})
	return errors.Is(err, ErrNewer)
}
