// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// RecordMember journals a NIC before anything about it is changed. A present member is not recorded again once
// something may have been changed: its state is the team's work by then.
func (h *Host) RecordMember(nic string) (journal.Member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return journal.Member{}, fmt.Errorf("record NIC %s: %w", nic, err)
	}
	n, err := h.nic(nic)
	if err != nil {
		return journal.Member{}, fmt.Errorf("record: %w", err)
	}
	no := j.State.NextNo()
	known := j.State.ByIdentity(n.Identity())
	if known != nil {
		if !known.Left && (known.Adopted || known.Stripped) {
			return known.Member, nil
		}
		no = known.No
	}
	m, err := h.readMember(n)
	if err != nil {
		return journal.Member{}, fmt.Errorf("record NIC %s: %w", nic, err)
	}
	if known != nil && known.Left {
		m.Inherit(known)
	}
	if err := j.Write(journal.Record{Kind: journal.KindMember, Done: true, No: no, Member: &m}); err != nil {
		return journal.Member{}, h.writeProblem(err)
	}
	return m, nil
}

// readMember reads everything about a NIC.
func (h *Host) readMember(n NIC) (journal.Member, error) {
	l, err := h.rt.Handle.LinkByIndex(n.Index)
	if err != nil {
		return journal.Member{}, err
	}
	a := l.Attrs()
	m := journal.Member{
		Identity: n.Identity(), At: rtnl.BootTime(),
		Up: a.RawFlags&unix.IFF_UP != 0, MTU: a.MTU, Promiscuity: a.Promisc,
		Segment: segmentOf(a), Features: h.features(n.Name), Sysctls: n.recordIPv6(recordSysctls(n.Name)),
	}
	if token, ok := n.token(); ok {
		m.Token = token.String()
	}
	if m.Addresses, err = h.rt.Addresses(n.Index); err != nil {
		return journal.Member{}, err
	}
	all, err := h.rt.Routes()
	if err != nil {
		return journal.Member{}, err
	}
	m.Routes = rtnl.RoutesVia(all, n.Index)
	m.Order = rtnl.RoutesOfSameKey(all, m.Routes)
	advertised, err := h.rt.AdvertisedRoutes()
	if err != nil {
		return journal.Member{}, err
	}
	m.Advertised, m.RouterInfo = rtnl.RoutesVia(advertised, n.Index), n.routerInfo()
	if m.Rules, err = h.rt.OwnRules(n.Name); err != nil {
		return journal.Member{}, err
	}
	var keep []netip.Addr
	for _, r := range slices.Concat(m.Routes, m.Advertised) {
		keep = append(keep, rtnl.Gateways(r, n.Index)...)
	}
	if m.Neighbours, err = h.rt.Neighbours(n.Index, keep); err != nil {
		return journal.Member{}, err
	}
	m.Proxies, err = h.rt.Proxies(n.Index)
	return m, err
}

// MembersDownBefore returns the members whose NICs were down before and will be again. Their sockets must be closed
// first: on a NIC that is down the kernel does not undo the promiscuity of a socket's MAC filter.
func (h *Host) MembersDownBefore() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return nil
	}
	var names []string
	for _, m := range h.journal.State.Members {
		if !m.Up && !m.Left {
			names = append(names, m.Name)
		}
	}
	return names
}

// memberLink reads a member's link, if it is still the same NIC.
func (h *Host) memberLink(m *journal.MemberState) (netlink.Link, NIC, error) {
	n, err := h.findIdentity(m.Identity)
	if err != nil {
		return nil, NIC{}, err
	}
	l, err := h.rt.Handle.LinkByIndex(n.Index)
	return l, n, err
}

// ReturnedNIC finds the NIC of a recorded member that was gone.
func (h *Host) ReturnedNIC(member string) (NIC, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return NIC{}, err
	}
	m := j.State.ByName(member)
	if m == nil || m.Left {
		return NIC{}, fmt.Errorf("NIC %s: not recorded", member)
	}
	return h.Find(m.Identity)
}
