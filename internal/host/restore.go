package host

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Restored says what giving back did.
type Restored struct {
	Members []string // given back
	Adapter string   // deleted, "" when there was none
	Notes   []string // what could not be put back, and other things worth saying
}

// ReleaseAll gives all members back as they were, with the addresses that the adapter has at this moment: the members' own
// go to their NICs, those that came since to the NIC that had the default route. The adapter stays, without
// addresses; Finish ends it. Doing it again finishes what was cut off.
//
// still, when not nil, is called right before the host's own stack gets the members' frames again: whoever forwards them to
// the adapter stops then, so that no frame arrives twice.
func (h *Host) ReleaseAll(still func()) (Restored, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.releaseAll(still)
}

func (h *Host) releaseAll(still func()) (Restored, error) {
	j, err := h.begun()
	if err != nil {
		return Restored{}, fmt.Errorf("release members: %w", err)
	}
	b := &back{h: h, j: j, by: map[int]int{}}
	if a, ok := h.adapter(); ok {
		b.adapter = &a
		if b.held, err = h.addresses(a.Index); err != nil {
			return Restored{}, fmt.Errorf("release members: %w", err)
		}
	}
	b.gather()
	b.noteUppers()
	heir := b.heir()
	h.endCarrying()
	connections, err := h.carry(b.held)
	if err != nil {
		return Restored{}, fmt.Errorf("release members: %w", err)
	}
	err = together(
		func() error { return b.base(false) },
		b.tellNeighbours,
		connections.catchUp,
		func() error { return b.moveRoutes(unix.AF_INET) },
		b.giveAddresses,
		func() error { return b.inheritAddresses(heir) },
		func() error { return b.moveRoutes(unix.AF_INET6) },
		b.routes,
		func() error { return b.inheritRoutes(heir) },
		b.reorder,
		connections.catchUp,
		b.neighbours,
		func() error { return b.proxies(heir) },
		func() error {
			if still != nil {
				h.apart(still)
			}
			return together(b.admit, b.teachRoutes, func() error { return h.vacateAdapter(j) })
		},
		b.settle,
		b.rules,
		b.clearAdapter,
		b.announce,
	)
	if note := connections.close(); note != "" {
		b.note("%s", note)
	}
	out := Restored{Notes: b.notes}
	for _, r := range b.members {
		out.Members = append(out.Members, r.nic.Name)
	}
	if err != nil {
		return out, fmt.Errorf("release members: %w", err)
	}
	return out, nil
}

// apart runs f while others may use h: whoever f waits for may be waiting to detach a program.
func (h *Host) apart(f func()) {
	h.mu.Unlock()
	defer h.mu.Lock()
	f()
}

// gather finds the members that have something to get back.
func (b *back) gather() {
	for _, m := range b.j.state.members {
		if m.left && !m.lent && !m.down {
			continue
		}
		l, n, err := b.h.link(m)
		if err != nil {
			b.note("NIC %s is not there: its addresses are given to nobody", m.Name)
			continue
		}
		if m.left && n.Master != "" {
			b.note("NIC %s belongs to %s by now and gets nothing back", n.Name, n.Owner())
			continue
		}
		if m.left && b.h.o.Taken != nil {
			if other := b.h.o.Taken(n.Index); other != "" {
				b.note("NIC %s belongs to the team %s by now and gets nothing back", n.Name, other)
				continue
			}
		}
		b.by[m.Index] = n.Index
		b.add(m, l, n)
	}
}

// heir is the NIC that gets what came to the adapter since it was made.
func (b *back) heir() *returning {
	for _, want := range []func(*Member) bool{
		(*Member).ownsDefault,
		func(m *Member) bool {
			return slices.ContainsFunc(m.Addresses, func(a object) bool { return !m.kernelLinkLocal(a) })
		},
		func(*Member) bool { return true },
	} {
		for _, r := range b.members {
			if want(&r.m.Member) {
				return r
			}
		}
	}
	return nil
}

func (b *back) giveAddresses() error {
	for _, r := range b.members {
		want, err := b.returnable(r)
		if err != nil {
			return err
		}
		if err := b.addresses(r, want); err != nil {
			return err
		}
	}
	return nil
}

// inheritAddresses gives the heir the adapter's addresses that are no member's and were not given with the team. Those
// that the kernel formed from advertisements the heir forms by itself where it can, and without the members' addresses
// on it the adapter had them for its own.
func (b *back) inheritAddresses(heir *returning) error {
	for _, a := range b.held {
		if b.adapter.kernelLinkLocal(a) || b.original(a) || slices.Contains(b.j.state.given, addressPrefix(a).String()) {
			continue
		}
		formed := autoconfigured(a)
		if (formed || temporary(a)) && (heir == nil || !heir.m.adopted) {
			continue
		}
		if heir == nil {
			b.note("%s of %s is given to nobody: no NIC is there", addressPrefix(a), b.adapter.Name)
			continue
		}
		if formed && heir.learns() && heir.nic.MAC == b.adapter.MAC {
			heir.form = append(heir.form, a)
			continue
		}
		flags := uint32(0)
		if formed {
			flags = unix.IFA_F_NOPREFIXROUTE // the prefix's route is not this address's
		}
		next := relabel(forLink(a, heir.nic.Index, flags), b.adapter.Name, heir.nic.Name)
		if err := b.h.addAddress(next, heir.nic.Name); err != nil {
			return err
		}
	}
	return nil
}

// original reports whether an address of the adapter was one of the members', present or not.
func (b *back) original(a object) bool {
	for _, m := range b.j.state.members {
		if hasAddress(m.Addresses, a) {
			return true
		}
	}
	return false
}

// clearAdapter takes the adapter's addresses away, now that they are where they belong.
func (b *back) clearAdapter() error {
	if b.adapter == nil {
		return nil
	}
	for _, a := range slices.Backward(b.held) {
		if b.adapter.kernelLinkLocal(a) {
			continue
		}
		if err := b.h.deleteAddress(a, b.adapter.Name); err != nil {
			return err
		}
	}
	return nil
}

// Finish deletes the adapter, if it is still there, and then the journal. Everything else must have been given back.
func (h *Host) Finish() (adapter string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.finish()
}

func (h *Host) finish() (adapter string, err error) {
	j, err := h.begun()
	if err != nil {
		return "", fmt.Errorf("end team: %w", err)
	}
	if a, ok := h.adapter(); ok {
		if err := h.at("delete adapter"); err != nil {
			return "", err
		}
		l, err := h.nl.LinkByIndex(a.Index)
		if err == nil {
			err = h.nl.LinkDel(l)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return "", fmt.Errorf("delete adapter %s: %w", a.Name, err)
		}
		adapter = a.Name
	}
	if err := h.restoreBacklog(j); err != nil {
		return adapter, fmt.Errorf("end team: %w", err)
	}
	if err := j.remove(); err != nil {
		return adapter, fmt.Errorf("end team: %w", err)
	}
	h.journal = nil
	return adapter, nil
}

// Restore puts the host back when the team's process is gone: members, addresses, and the adapter it left behind.
// The caller makes sure that the process does not run. Without a journal there is nothing to do, and a note says so.
func (h *Host) Restore() (Restored, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.foreign != nil {
		return Restored{}, h.foreignProblem()
	}
	if h.journal == nil {
		out := Restored{Notes: []string{"nothing to restore: there is no journal of " + h.o.Team}}
		if h.note != "" {
			out.Notes = []string{h.note}
		}
		return out, nil
	}
	out, err := h.releaseAll(nil)
	if err != nil {
		return out, err
	}
	out.Adapter, err = h.finish()
	return out, err
}
