// SPDX-License-Identifier: MIT

package tchook

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// HookHeld says that another program or filter is on a hook: ours would take frames away from it.
type HookHeld struct {
	NIC  string
	Hook string // "ingress" or "egress"
	Who  string // such as: tcx program "cil_from_netdev" (id 12); tc filter "flower" pref 49152
}

func (e *HookHeld) Error() string {
	return fmt.Sprintf("%s of %s is held by %s", e.Hook, e.NIC, e.Who)
}

// checkFree checks that no other program or filter is on a hook. there is the list of tcx programs, nil: not queried
// yet. An empty qdisc does not count.
func (h *Hooks) checkFree(l Link, at ebpf.AttachType, there *link.QueryResult) (err error) {
	held := &HookHeld{NIC: l.Name, Hook: hooks[at].name}
	if there == nil {
		if there, err = queryTCX(l.Index, at); err != nil {
			return fmt.Errorf("list programs: %w", err)
		}
	}
	if err := h.checkNoOther(l, at, there); err != nil {
		return err
	}
	list, err := h.foreignFilters(l, at)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		held.Who = tcFilter(list[0])
		return held
	}
	return nil
}

// checkNoOther checks that a list of tcx programs on a hook has none of others.
func (h *Hooks) checkNoOther(l Link, at ebpf.AttachType, there *link.QueryResult) error {
	for _, p := range there.Programs {
		if !h.isOurs(l, p) {
			return &HookHeld{NIC: l.Name, Hook: hooks[at].name, Who: tcxProgram(p.ID)}
		}
	}
	return nil
}

// foreignFilters returns the filters of others on a hook.
func (h *Hooks) foreignFilters(l Link, at ebpf.AttachType) (foreign []netlink.Filter, err error) {
	nl, err := h.conn.Handle.LinkByIndex(l.Index)
	if err != nil {
		return nil, err
	}
	kind, err := h.ingressQdisc(nl)
	if err != nil {
		return nil, fmt.Errorf("list qdiscs: %w", err)
	}
	// For egress, a qdisc ingress would list its ingress filters.
	if kind == "" || kind == ingressKind && at == ebpf.AttachTCXEgress {
		return nil, nil
	}
	list, err := h.filters(nl, hooks[at].filter.parent)
	for _, f := range list {
		if !receiveFilter.is(f) && !transmitFilter.is(f) && !isolateFilter.is(f) {
			foreign = append(foreign, f)
		}
	}
	return foreign, err
}

// isOurs reports whether a program is attached by a link of this process.
func (h *Hooks) isOurs(l Link, p link.AttachedProgram) bool {
	id, ok := p.LinkID()
	if !ok {
		return false
	}
	is := func(ln *tcxLink) bool {
		if ln == nil {
			return false
		}
		info, err := ln.Info()
		return err == nil && info.ID == id
	}
	if i := h.isolated[l.Index]; i != nil && is(i.link) {
		return true
	}
	for at, a := range h.attached {
		if at.index == l.Index && is(a.link) {
			return true
		}
	}
	return false
}

// tcxProgram describes a program. Only CAP_SYS_ADMIN may read its name.
func tcxProgram(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err == nil {
		defer p.Close()
		if info, err := p.Info(); err == nil && info.Name != "" {
			return fmt.Sprintf("tcx program %q (id %d)", info.Name, id)
		}
	}
	return fmt.Sprintf("tcx program (id %d)", id)
}

func tcFilter(f netlink.Filter) string {
	s := fmt.Sprintf("tc filter %q pref %d", f.Type(), f.Attrs().Priority)
	if b, ok := f.(*netlink.BpfFilter); ok && b.Name != "" {
		s += fmt.Sprintf(", program %q (id %d)", b.Name, b.Id)
	}
	return s
}

// CheckFree returns a *HookHeld if another program or filter is on the hook.
func (h *Hooks) CheckFree(l Link, at ebpf.AttachType) error { return h.checkFree(l, at, nil) }

// ForeignPrograms describes the programs and filters of others on a hook, as far as they can be read.
func (h *Hooks) ForeignPrograms(l Link, at ebpf.AttachType) (who []string) {
	if there, err := queryTCX(l.Index, at); err == nil {
		for _, p := range there.Programs {
			if !h.isOurs(l, p) {
				who = append(who, tcxProgram(p.ID))
			}
		}
	}
	list, err := h.foreignFilters(l, at)
	if err != nil {
		return who
	}
	for _, f := range list {
		// The kernel also lists a head for each preference, and u32's hash tables.
		handle := f.Attrs().Handle
		if handle == 0 || f.Type() == "u32" && handle&0xfff == 0 {
			continue
		}
		who = append(who, fmt.Sprintf("%s handle %#x", tcFilter(f), handle))
	}
	return who
}
