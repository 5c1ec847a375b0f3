// SPDX-License-Identifier: MIT

package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// Renamed is a member whose name or MAC somebody changed.
type Renamed struct {
	Was  string // the old name
	Name string
	MAC  frame.MAC // zero: unchanged
}

// RecordRenames journals members' new names and MACs, all at once: two may have swapped names.
func (h *Host) RecordRenames(list []Renamed) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return err
	}
	members := make([]*journal.MemberState, len(list))
	for i, r := range list {
		members[i] = j.State.ByName(r.Was)
	}
	for i, r := range list {
		m := members[i]
		if m != nil && r.MAC == 0 {
			r.MAC = m.MAC
		}
		if m == nil || m.Name == r.Name && m.MAC == r.MAC {
			continue
		}
		if err := j.Write(journal.Record{Kind: journal.KindRenamed, Done: true, No: m.No,
			Renamed: &journal.RenamedRecord{Name: r.Name, MAC: r.MAC}}); err != nil {
			return h.writeProblem(err)
		}
	}
	return nil
}

// RecordAdapterName journals the adapter's new name and renews its policy rules, which match by name.
func (h *Host) RecordAdapterName(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return err
	}
	n, err := h.nicAt(index)
	if err != nil {
		return err
	}
	was := j.State.Begin.Team
	a := journal.AdapterRecord{Name: n.Name, Index: n.Index, MAC: n.MAC}
	if j.State.Adapter != nil {
		was, a.MAC = j.State.Adapter.Name, j.State.Adapter.MAC
	}
	if was == n.Name {
		return nil
	}
	if err := j.Write(journal.Record{Kind: journal.KindAdapter, Done: true, Adapter: &a}); err != nil {
		return h.writeProblem(err)
	}
	copies, err := h.rt.RulesNaming(was)
	if err != nil {
		return err
	}
	names := h.adoptedNames(nil)
	for _, m := range j.State.Members {
		for _, r := range m.Rules {
			old, next := rtnl.RuleFor(r, names, was), rtnl.RuleFor(r, names, n.Name)
			if !m.Adopted || !rtnl.HasRule(copies, old) {
				continue // somebody removed it
			}
			err := h.rt.Change("copy rule of "+was, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, next)
			if err == nil {
				err = h.rt.Change("remove rule of "+was, unix.RTM_DELRULE, 0, old)
			}
			if err != nil {
				return fmt.Errorf("rules of %s, which was %s: %w", n.Name, was, err)
			}
		}
	}
	return nil
}

// AdapterName returns the adapter's name, "" without adapter.
func (h *Host) AdapterName() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, _ := h.adapter()
	return a.Name
}

// AdapterIndex returns the ifindex of the adapter by the journal, 0 if there is none.
func (h *Host) AdapterIndex() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, _ := h.adapter()
	return a.Index
}

// AdapterGone reports whether the adapter that the journal records is not there any more.
func (h *Host) AdapterGone() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil || h.journal.State.Ended || h.journal.State.Adapter == nil {
		return false
	}
	_, found := h.adapter()
	return !found
}

// RestoreMAC restores the adapter's MAC after somebody changed it. IPv6 addresses that the kernel formed of the other
// MAC are removed, and the link-local address is added, because the kernel forms one only when a link comes up.
func (h *Host) RestoreMAC(adapter int, mac, wrong frame.MAC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.rt.Handle.LinkByIndex(adapter)
	if err == nil {
		err = h.rt.Handle.LinkSetHardwareAddr(l, mac.HardwareAddr())
	}
	if err != nil {
		return fmt.Errorf("restore MAC %v: %w", mac, err)
	}
	list, err := h.rt.Addresses(adapter)
	if err != nil {
		return err
	}
	var made rtnl.Object // the removed link-local address
	has := false
	for _, a := range list {
		p := rtnl.AddressPrefix(a)
		has = has || rtnl.IsLinkLocal(a) && rtnl.IsEUI64(p, mac)
		if !rtnl.IsEUI64(p, wrong) {
			continue
		}
		if err := h.rt.Change(fmt.Sprintf("remove address %v of MAC %v", p, wrong), unix.RTM_DELADDR, 0,
			a); err != nil {
			return err
		}
		if rtnl.IsLinkLocal(a) {
			made = a
		}
	}
	if made.Head == nil || has {
		return nil
	}
	right := rtnl.EUI64Address(made, mac)
	what := fmt.Sprintf("add address %v", rtnl.AddressPrefix(right))
	return h.rt.Change(what, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, right)
}
