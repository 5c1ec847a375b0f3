package modes

import (
	"time"

	"nicteam/internal/frame"
)

const (
	// formerTime is how long an address is taken in that a member's NIC had before somebody gave it another. Peers are
	// told at once; whom that does not reach has confirmed what its cache says, or asked anew, by then.
	formerTime = time.Minute
	// formersMost bounds the former addresses of one member, for programs that change a MAC at every turn.
	formersMost = 4
)

// formers are the addresses that members' NICs had until a moment ago.
type formers map[frame.MAC]former

type former struct {
	member int
	until  time.Time
}

// follow compares two States and reports whether a member's address has changed. An address that is a member's again,
// or whose member has left, is no former one.
func (f formers) follow(now time.Time, was, st *State) (changed bool) {
	for _, m := range st.Members {
		if old := find(was, m.ID); old != nil && old.Name == m.Name && old.MAC != m.MAC && old.MAC != 0 {
			f[old.MAC] = former{m.ID, now.Add(formerTime)}
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

// bound forgets the oldest address of a member that has had too many.
func (f formers) bound(id int) {
	n, oldest := 0, frame.MAC(0)
	for mac, old := range f {
		if old.member != id {
			continue
		}
		if n++; oldest == 0 || old.until.Before(f[oldest].until) {
			oldest = mac
		}
	}
	if n > formersMost {
		delete(f, oldest)
	}
}

// deadline is when the next one is to be forgotten; zero for never. The adapter's own stays.
func (f formers) deadline(adapter frame.MAC) (d time.Time) {
	for mac, old := range f {
		if mac != adapter && (d.IsZero() || old.until.Before(d)) {
			d = old.until
		}
	}
	return d
}

// expire forgets those whose time is over, and returns them.
func (f formers) expire(now time.Time, adapter frame.MAC) (gone []frame.MAC) {
	for mac, old := range f {
		if mac != adapter && !now.Before(old.until) {
			delete(f, mac)
			gone = append(gone, mac)
		}
	}
	return gone
}
