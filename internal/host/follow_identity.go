package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// Renamed is a member as it is since somebody changed it.
type Renamed struct {
	Was  string // its name until now
	Name string
	MAC  frame.MAC // zero: as it was
}

// RecordRenames has the journal know members by the names and MACs that they have by other hands, all at once: two may have
// changed names.
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
		if err := j.Write(journal.Record{Kind: journal.KindRenamed, Done: true, No: m.No, Renamed: &journal.RenamedRecord{Name: r.Name, MAC: r.MAC}}); err != nil {
			return h.writeProblem(err)
		}
	}
	return nil
}

// RecordAdapterName has journal and policy rules know the adapter by the name that somebody gave it. A rule names links by their
// names, so that those of members' rules that it has copies of would match nothing any more.
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
	names := h.lenderNames(nil)
	for _, m := range j.State.Members {
		for _, r := range m.Rules {
			old, next := rtnl.RuleFor(r, names, was), rtnl.RuleFor(r, names, n.Name)
			if !m.Adopted || !rtnl.HasRule(copies, old) {
				continue // somebody has removed it
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

// AdapterName is what the adapter of the journal is called, "" without one.
func (h *Host) AdapterName() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, _ := h.adapter()
	return a.Name
}

// RestoreMAC gives the adapter its address again after somebody has given it another. The IPv6 addresses that the kernel
// has made of that one meanwhile go; a link-local one of its own address comes in place of theirs, as the kernel makes one
// only when a link comes up.
func (h *Host) RestoreMAC(adapter int, mac, wrong frame.MAC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.rt.Handle.LinkByIndex(adapter)
	if err == nil {
		err = h.rt.Handle.LinkSetHardwareAddr(l, mac.HardwareAddr())
	}
	if err != nil {
		return fmt.Errorf("put MAC %v back: %w", mac, err)
	}
	list, err := h.rt.Addresses(adapter)
	if err != nil {
		return err
	}
	var made rtnl.Object // a link-local one that goes
	has := false
	for _, a := range list {
		p := rtnl.AddressPrefix(a)
		has = has || rtnl.IsLinkLocal(a) && rtnl.IsEUI64(p, mac)
		if !rtnl.IsEUI64(p, wrong) {
			continue
		}
		if err := h.rt.Change(fmt.Sprintf("remove address %v of MAC %v", p, wrong), unix.RTM_DELADDR, 0, a); err != nil {
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
