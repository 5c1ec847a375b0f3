package modes

import "time"

// steering says by which member each peer is to reach us.
type steering struct{}

// follow takes over who may be used. It returns what peers must be told because of it.
func (s *steering) follow(now time.Time, st *State, pl *Plan, active int) []Send { return nil }

// sent takes in an ARP or ND frame of the adapter, which is ours to change, and returns it as it is to leave.
func (s *steering) sent(now time.Time, b []byte) []Send { return nil }

// received takes in a copy of an ARP or ND frame that came for us alone.
func (s *steering) received(now time.Time, member int, b []byte) {}

// measured takes in what every sender has sent.
func (s *steering) measured(now time.Time, h *Heard) []Send { return nil }

// tick sends what is due.
func (s *steering) tick(now time.Time) []Send { return nil }

func (s *steering) deadline() time.Time { return time.Time{} }

func (s *steering) list(now time.Time) []Peer { return nil }

// announced takes in that all peers were just told the active member's address.
func (s *steering) announced(now time.Time) {}
