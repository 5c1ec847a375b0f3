// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// Restored is the result of a give-back.
type Restored struct {
	Members []string // given back
	Adapter string   // deleted, "" when there was none
	Notes   []string // failures, and other things worth saying
}

// ReleaseAll gives all members back, with the addresses that the adapter has at this moment: the members' own go to
// their NICs, later ones to the NIC that had the default route. The adapter stays without addresses; Finish ends it. A
// repeated call completes an interrupted one.
//
// stopForwarding, if not nil, is called right before the host's stack gets the members' frames again. It must end their
// way to the adapter, so that no frame arrives twice.
func (h *Host) ReleaseAll(stopForwarding func()) (Restored, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.releaseAll(stopForwarding, false)
}

// releaseAll is ReleaseAll. afterKill: the process was killed, and its journal may have lost records.
func (h *Host) releaseAll(stopForwarding func(), afterKill bool) (Restored, error) {
	j, err := h.currentJournal()
	if err != nil {
		return Restored{}, fmt.Errorf("release members: %w", err)
	}
	b := &giveBack{h: h, j: j, indexNow: map[int]int{}, afterKill: afterKill}
	if a, ok := h.adapter(); ok {
		b.adapter = &a
		if b.adapterAddresses, err = h.rt.Addresses(a.Index); err != nil {
			return Restored{}, fmt.Errorf("release members: %w", err)
		}
	}
	b.collectMembers()
	if afterKill {
		b.findUnrecorded()
		if err := b.findStarted(); err != nil {
			return Restored{}, fmt.Errorf("release members: %w", err)
		}
	}
	if err := b.checkNothingLost(); err != nil {
		return Restored{Notes: b.notes}, err
	}
	b.noteUppers()
	h.endRebinding()
	connections, err := h.startRebinding(b.adapterAddresses)
	if err != nil {
		return Restored{}, fmt.Errorf("release members: %w", err)
	}
	err = runAll(
		func() error { return b.restoreLinks(false) },
		b.readCarriers,
		b.seedNeighbours,
		connections.CatchUp,
		func() error { return b.moveRoutes(unix.AF_INET, true) },
		b.returnAddresses,
		b.giveInheritedAddresses,
		func() error { return b.moveRoutes(unix.AF_INET, false) },
		func() error { return b.moveRoutes(unix.AF_INET6, false) },
		b.restoreRoutes,
		b.giveInheritedRoutes,
		b.reorderRoutes,
		connections.CatchUp,
		b.restoreNeighbours,
		func() error { return b.restoreProxies(b.inheritor(unix.AF_INET)) },
		func() error {
			if stopForwarding != nil {
				h.unlocked(stopForwarding)
			}
			return runAll(b.unisolate, b.restoreRAState, func() error { return h.detachFromAdapter(j) })
		},
		b.restoreLateSysctls,
		b.restoreRules,
		b.removeDuplicateAddresses,
		b.clearAdapter,
		b.announceAddresses,
	)
	if note := connections.Close(); note != "" {
		b.notef("%s", note)
	}
	if err != nil {
		h.hooks.AwaitDetached()
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

// collectMembers finds the members that get something back.
func (b *giveBack) collectMembers() {
	for _, m := range b.j.State.Members {
		if m.Away || m.Left && !m.ConfigOnAdapter && !m.LeftDown {
			continue
		}
		l, n, err := b.h.memberLink(m)
		if err != nil {
			b.absent = append(b.absent, m)
			continue
		}
		if m.Left && n.Master != "" {
			b.notef("NIC %s now belongs to %s: nothing is restored", n.Name, n.Owner())
			continue
		}
		if other := b.h.takenBy(n); m.Left && other != "" {
			b.notef("NIC %s is now in team %s: nothing is restored", n.Name, other)
			continue
		}
		b.indexNow[m.Index] = n.Index
		b.addMember(m, l, n)
	}
}

// takenBy returns the other team that has the NIC now, "" for none.
func (h *Host) takenBy(n NIC) string {
	if h.o.Taken == nil {
		return ""
	}
	return h.o.Taken(n.Index)
}

func (b *giveBack) returnAddresses() error {
	for _, r := range b.members {
		want, err := b.addressesOf(r)
		if err != nil {
			return err
		}
		if err := b.setAddresses(r, want); err != nil {
			return err
		}
	}
	return nil
}

// clearAdapter removes the adapter's addresses after the NICs have got them. One that a NIC should have and has not
// stays.
func (b *giveBack) clearAdapter() error {
	if b.adapter == nil {
		return nil
	}
	others, err := b.h.rt.AddressesElsewhere(b.adapter.Index)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range slices.Backward(b.adapterAddresses) {
		if b.adapter.kernelLinkLocal(a) {
			continue
		}
		// The NIC's kernel forms addresses from advertisements again.
		if b.goesToNIC(a) && !rtnl.IsAutoconfigured(a) && !rtnl.IsTemporary(a) && b.targetOf(a) != nil &&
			!rtnl.HasAddress(others, a) {
			errs = append(errs, fmt.Errorf("%s is only on %s and stays there", rtnl.AddressPrefix(a), b.adapter.Name))
			continue
		}
		if err := b.h.rt.DeleteAddress(a, b.adapter.Name); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// Finish deletes the adapter, if it exists, and the journal. The members must have been given back.
func (h *Host) Finish() (adapter string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.finish()
}

func (h *Host) finish() (adapter string, err error) {
	j, err := h.currentJournal()
	if err != nil {
		return "", fmt.Errorf("end team: %w", err)
	}
	if a, ok := h.adapter(); ok {
		if err := h.faultPoint("delete adapter"); err != nil {
			return "", err
		}
		l, err := h.rt.Handle.LinkByIndex(a.Index)
		if err == nil {
			err = h.rt.Handle.LinkDel(l)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return "", fmt.Errorf("delete adapter %s: %w", a.Name, err)
		}
		adapter = a.Name
	}
	if err := h.restoreBacklog(j); err != nil {
		return adapter, fmt.Errorf("end team: %w", err)
	}
	h.hooks.AwaitDetached() // with the journal's end nobody would look for them
	if err := h.finishJournal(j); err != nil {
		return adapter, fmt.Errorf("end team: %w", err)
	}
	return adapter, nil
}

// Restore puts the host back after the team's process is gone: members, addresses, the adapter. The caller ensures that
// the process does not run. Without a journal a note says that there is nothing to do.
func (h *Host) Restore() (Restored, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.unusable != nil:
		return Restored{}, h.unusable
	case h.journal == nil && h.journalNote != "":
		return Restored{Notes: []string{h.journalNote}}, h.renameStale()
	case h.journal == nil:
		return Restored{Notes: []string{"nothing to restore: there is no journal of " + h.o.Team}}, nil
	case h.journal.State.Ended:
		return h.restoreAbsent()
	}
	damaged := h.journal.Damaged
	out, err := h.releaseAll(nil, true)
	if err != nil {
		return out, err
	}
	out.Adapter, err = h.finish()
	if len(damaged) > 0 {
		out.Notes = append(out.Notes,
			fmt.Sprintf(
				"the journal was damaged (line %s): the NICs' config there is not restored; check: ip address; ip "+
					"route",
				strings.Trim(fmt.Sprint(damaged), "[]")))
	}
	return out, err
}

// findUnrecorded finds NICs in the team's settings that look like members and whose records the journal has lost. They
// get the host's defaults, and may get the adapter's addresses.
func (b *giveBack) findUnrecorded() {
	all, err := b.h.readPolicy()
	if err != nil {
		return
	}
	for _, name := range b.h.o.Members {
		if b.j.State.ByName(name) != nil {
			continue
		}
		n, err := b.h.nic(name)
		if err != nil || n.Master != "" || b.j.State.ByIdentity(n.Identity()) != nil {
			continue
		}
		if v, ok := readSysctl(n.Name, arpIgnore); !ok || v != memberARPIgnore {
			continue // not touched yet
		}
		was, err := b.h.readMember(n, all)
		if err != nil {
			continue
		}
		was.Up, was.Features = true, nil
		for key := range was.Sysctls {
			if v, ok := readSysctl("default", key); ok && key != ipv6MTU {
				was.Sysctls[key] = v
			}
		}
		b.notef("the journal has lost NIC %s: it gets the host's defaults", n.Name)
		b.indexNow[n.Index] = n.Index
		b.addMember(&journal.MemberState{Member: was, Guessed: true}, n.link, n)
	}
}

// runAll runs all steps even if one fails, and joins the errors. Only an injected crash stops it.
func runAll(steps ...func() error) error {
	var errs []error
	for _, step := range steps {
		if err := step(); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
