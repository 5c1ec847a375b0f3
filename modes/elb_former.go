// SPDX-License-Identifier: MIT

package modes

import (
	"time"

	"nicteam/internal/frame"
)

const (
	// formerTime is how long a member accepts the MAC that its NIC had before somebody changed it. Peers are told at
	// once; those that the announcement does not reach have confirmed their cache entry, or asked again, by then.
	formerTime = time.Minute
	// maxFormer bounds the former MACs of one member, for programs that change a MAC again and again.
	maxFormer = 4
)

// formerMACs are the MACs that members' NICs had until a moment ago.
type formerMACs map[frame.MAC]formerMAC

type formerMAC struct {
	member int
	until  time.Time
}

// update compares two States and reports whether a member's MAC has changed. A MAC that a member has again, or whose
// member has left, is no former one.
func (f formerMACs) update(now time.Time, was, st *State) (changed bool) {
	for _, m := range st.Members {
		if old := find(was, m.ID); old != nil && old.Name == m.Name && old.MAC != m.MAC && old.MAC != 0 {
			f[old.MAC] = formerMAC{m.ID, now.Add(formerTime)}
			f.bound(m.ID)
			changed = true
		}
	}
	for mac, old := range f {
		gone := find(st, old.member) == nil
		for _, m := range st.Members {
			gone = gone || m.MAC == mac
		}
		if gone {
			delete(f, mac)
		}
	}
	return changed
}

// bound forgets the oldest MAC of a member that has had too many; of several as old the lowest.
func (f formerMACs) bound(id int) {
	n, oldest := 0, frame.MAC(0)
	for mac, old := range f {
		if old.member != id {
			continue
		}
		n++
		if c := old.until.Compare(f[oldest].until); oldest == 0 || c < 0 || c == 0 && mac < oldest {
			oldest = mac
		}
	}
	if n > maxFormer {
		delete(f, oldest)
	}
}

// deadline returns when the next one ends, zero for never. The adapter's own stays.
func (f formerMACs) deadline(adapter frame.MAC) (d time.Time) {
	for mac, old := range f {
		if mac != adapter {
			d = earlier(d, old.until)
		}
	}
	return d
}

// expire forgets those that have ended, and returns them.
func (f formerMACs) expire(now time.Time, adapter frame.MAC) (gone []frame.MAC) {
	for mac, old := range f {
		if mac != adapter && !now.Before(old.until) {
			delete(f, mac)
			gone = append(gone, mac)
		}
	}
	return gone
}
