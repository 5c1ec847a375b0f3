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
	list, err := h.RecordMembers([]string{nic})
	if err != nil {
		return journal.Member{}, err
	}
	return list[0], nil
}

// RecordMembers is RecordMember of several NICs, at the cost of one reading of the host's routes and rules and of one
// wait for the disk.
func (h *Host) RecordMembers(nics []string) ([]journal.Member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return nil, fmt.Errorf("record NICs: %w", err)
	}
	all, err := h.readPolicy()
	if err != nil {
		return nil, fmt.Errorf("record NICs: %w", err)
	}
	members := make([]journal.Member, 0, len(nics))
	var records []journal.Record
	next := j.State.NextNo()
	for _, nic := range nics {
		n, err := h.nic(nic)
		if err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
		known := j.State.ByIdentity(n.Identity())
		if known != nil && !known.Left && (known.Adopted || known.Stripped) {
			members = append(members, known.Member)
			continue
		}
		m, err := h.readMember(n, all)
		if err != nil {
			return nil, fmt.Errorf("record NIC %s: %w", nic, err)
		}
		no := next
		if known != nil {
			no = known.No
		} else {
			next++
		}
		if known != nil && known.Left {
			m.Inherit(known)
		}
		members = append(members, m)
		records = append(records, journal.Record{Kind: journal.KindMember, Done: true, No: no, Member: &m})
	}
	if err := j.Write(records...); err != nil {
		return nil, h.writeProblem(err)
	}
	return members, nil
}

// policy is what the kernel lists for all links of the host only.
type policy struct{ routes, advertised, rules []rtnl.Object }

func (h *Host) readPolicy() (p policy, err error) {
	if p.routes, p.advertised, err = h.rt.AllRoutes(); err == nil {
		p.rules, err = h.rt.Rules()
	}
	return p, err
}

// readMember reads everything about a NIC. all was read just before.
func (h *Host) readMember(n NIC, all policy) (_ journal.Member, err error) {
	a := n.link.Attrs()
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
	m.Routes = rtnl.RoutesVia(all.routes, n.Index)
	m.Order = rtnl.RoutesOfSameKey(all.routes, m.Routes)
	m.Advertised, m.RouterInfo = rtnl.RoutesVia(all.advertised, n.Index), n.routerInfo()
	m.Rules = rtnl.OwnRulesOf(all.rules, n.Name)
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

// DownByHand returns the ifindexes of members that are down although the team had them up: those that were up before
// it, and of seenUp. A team sets none of its members down.
func (h *Host) DownByHand(seenUp []int) (down []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return nil
	}
	for _, m := range h.journal.State.Members {
		if m.Left || !m.Up && !slices.Contains(seenUp, m.Index) {
			continue
		}
		if n, err := h.findIdentity(m.Identity); err == nil && n.Index == m.Index && !n.AdminUp {
			down = append(down, m.Index)
		}
	}
	return down
}

// memberLink reads a member's link, if it is still the same NIC.
func (h *Host) memberLink(m *journal.MemberState) (netlink.Link, NIC, error) {
	n, err := h.findIdentity(m.Identity)
	return n.link, n, err
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
