// SPDX-License-Identifier: MIT

// Package descriptorstest has a store in memory, for tests of what a next process finds.
package descriptorstest

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Store implements descriptors.Store.
type Store struct {
	mu        sync.Mutex
	stored    map[string]int
	inherited map[string]int
}

// New returns an empty Store, which the end of the test closes.
func New(t testing.TB) *Store {
	s := &Store{stored: map[string]int{}, inherited: map[string]int{}}
	t.Cleanup(func() {
		closeAll(s.stored)
		closeAll(s.inherited)
	})
	return s
}

func closeAll(fds map[string]int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
	clear(fds)
}

// Next makes s what the next process finds: all that is stored can be taken.
func (s *Store) Next() {
	s.mu.Lock()
	defer s.mu.Unlock()
	closeAll(s.inherited)
	for name, fd := range s.stored {
		if dup, err := duplicate(fd); err == nil {
			s.inherited[name] = dup
		}
	}
}

func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// Put implements descriptors.Store.
func (s *Store) Put(name string, fd int) error {
	dup, err := duplicate(fd)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.stored[name]; ok {
		unix.Close(old)
	}
	s.stored[name] = dup
	return nil
}

// Remove implements descriptors.Store.
func (s *Store) Remove(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd, ok := s.stored[name]; ok {
		unix.Close(fd)
		delete(s.stored, name)
	}
	return nil
}

// Sync implements descriptors.Store.
func (s *Store) Sync() error { return nil }

// Take implements descriptors.Store.
func (s *Store) Take(name string) (fd int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd, ok = s.inherited[name]
	delete(s.inherited, name)
	return fd, ok
}

// Names implements descriptors.Store.
func (s *Store) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.inherited))
}

// Stored are the names of what is stored, sorted.
func (s *Store) Stored() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.stored))
}

// Rename renames a stored descriptor: one of another version, or of another NIC.
func (s *Store) Rename(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd, ok := s.stored[from]; ok {
		s.stored[to] = fd
		delete(s.stored, from)
	}
}
