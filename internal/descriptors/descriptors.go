// SPDX-License-Identifier: MIT

// Package descriptors names the descriptors that survive a team's process, and says what keeps them. A supervisor holds
// them while no process runs (sd_pid_notify_with_fds(3), FDSTORE=1), and gives them to the next one.
//
// What a store holds is open: a tcx link stays attached, a packet socket goes on receiving, an adapter keeps its
// carrier. Whoever ends one of these for good removes it from the store, and detaches a link before.
package descriptors

import (
	"strconv"
	"strings"
)

// A Store keeps duplicates of descriptors. *supervisor.Supervisor implements it. Its methods may be called from any
// goroutine.
type Store interface {
	// Put stores a duplicate of fd, in place of an older one of that name.
	Put(name string, fd int) error
	// Remove closes the stored duplicate, if there is one.
	Remove(name string) error
	// Take returns a descriptor that the process before left. The caller owns it. The store keeps its duplicate.
	Take(name string) (fd int, ok bool)
	// Sync returns once all before has been done: what was removed is closed.
	Sync() error
	// Names are those of descriptors that the process before left and nobody has taken.
	Names() []string
}

// Or returns s, or a store that keeps nothing if s is nil.
func Or(s Store) Store {
	if s == nil {
		return none{}
	}
	return s
}

type none struct{}

func (none) Put(string, int) error        { return nil }
func (none) Remove(string) error          { return nil }
func (none) Sync() error                  { return nil }
func (none) Take(string) (fd int, _ bool) { return -1, false }
func (none) Names() []string              { return nil }

// The names of what there is once a team.
const (
	Tap      = "tap"      // the adapter's queue
	Transmit = "transmit" // the tcx link of the program on the adapter
)

// The kinds of descriptors of one NIC. A name is the kind, "-" and the ifindex.
const (
	Socket    = "socket"    // the packet socket that receives
	Groups    = "groups"    // the packet socket whose memberships are the NIC's receive filter
	Isolation = "isolation" // the tcx link of the program that isolates
	Receive   = "receive"   // the tcx link of the program that receives
	Ring      = "ring"      // the memory by which that program passes frames for the relay
)

// Of returns the name of a NIC's descriptor of a kind.
func Of(kind string, index int) string { return kind + "-" + strconv.Itoa(index) }

// Index returns the ifindex in a name of that kind.
func Index(name, kind string) (index int, ok bool) {
	digits, found := strings.CutPrefix(name, kind+"-")
	if !found {
		return 0, false
	}
	index, err := strconv.Atoi(digits)
	return index, err == nil && index > 0 && name == Of(kind, index)
}

// mapPrefix begins the names of BPF maps.
const mapPrefix = "map-"

// Map returns the name of a BPF map whose layout has that fingerprint.
func Map(fingerprint, name string) string { return mapPrefix + fingerprint + "-" + name }

// IsMap reports whether a name is that of a BPF map, of any layout.
func IsMap(name string) bool { return strings.HasPrefix(name, mapPrefix) }

// Layout returns fingerprint and map name of a name of Map.
func Layout(name string) (fingerprint, mapName string, ok bool) {
	rest, found := strings.CutPrefix(name, mapPrefix)
	if !found {
		return "", "", false
	}
	fingerprint, mapName, ok = strings.Cut(rest, "-")
	return fingerprint, mapName, ok && fingerprint != "" && mapName != ""
}
