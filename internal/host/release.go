package host

import (
	"cmp"
	"fmt"
)

// Released says how a NIC was given back.
type Released struct {
	Name  string
	Down  bool     // it was up and is given back down
	Why   string   // when Down
	Fix   string   // when Down
	Notes []string // what could not be put back, and other things worth saying
}

// Release gives one member back while the team goes on: its flags, MTU, sysctls and features as they were. Addresses that
// moved to the adapter stay there until the team ends. A NIC whose MAC the adapter has is given back down: whatever
// it sent by itself would move the team's traffic on the LAN to a NIC that is no longer in the team.
func (h *Host) Release(nic string) (Released, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return Released{}, fmt.Errorf("release NIC %s: %w", nic, err)
	}
	m, err := h.member(j, nic)
	if err != nil {
		return Released{}, fmt.Errorf("release: %w", err)
	}
	out := Released{Name: m.Name}
	left := record{Kind: kindLeft, No: m.no, Lent: m.adopted}
	l, n, err := h.link(m)
	if err != nil {
		// It is gone: the kernel has forgotten what we did to it. It keeps what it lent.
		out.Notes = append(out.Notes, fmt.Sprintf("NIC %s is not there: nothing to give back", m.Name))
		h.endTCX(m.Index)
		left.Done = true
		return out, j.write(left)
	}
	if a, ok := h.adapter(); ok && a.MAC == n.MAC && m.Up {
		left.Down, out.Down = true, true
		out.Why = fmt.Sprintf("%s has the MAC of the adapter %s (%s); two NICs with one MAC on a LAN take each other's traffic", n.Name, a.Name, a.MAC)
		out.Fix = fmt.Sprintf("ip link set %s up once it is on another LAN, or make the team with --mac new", n.Name)
	}
	if err := j.write(left); err != nil {
		return out, h.journalProblem(err)
	}
	b := &back{h: h, j: j, by: map[int]int{m.Index: n.Index}}
	b.add(m, l, n)
	err = together(
		func() error { return b.base(left.Down) },
		func() error {
			if m.adopted {
				return b.linkLocals(left.Down)
			}
			return b.own(left.Down)
		},
		b.admit,
		b.settle,
	)
	out.Notes = append(out.Notes, b.notes...)
	if err != nil {
		return out, fmt.Errorf("release NIC %s: %w", m.Name, err)
	}
	left.Done = true
	return out, j.write(left)
}

// adapter is the team's TAP if it is there and ours.
func (h *Host) adapter() (NIC, bool) {
	if h.journal == nil {
		return NIC{}, false
	}
	s := &h.journal.state
	name := s.begin.Team
	if s.adapter != nil {
		name = cmp.Or(s.adapter.Name, name)
	}
	list, err := h.links()
	if err != nil {
		return NIC{}, false
	}
	for _, n := range list {
		if n.Kind != "tun" || !n.Ethernet {
			continue
		}
		// A TAP whose index was not written down was made after Begin, which saw that the name was free.
		if s.adapter != nil && n.Index == s.adapter.Index ||
			s.adapter == nil && n.Name == name && n.Index > s.begin.Floor {
			return n, true
		}
	}
	return NIC{}, false
}
