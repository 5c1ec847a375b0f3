// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
	"nicteam/internal/settings"
)

// memberARPIgnore makes a member answer ARP for no local address. It has none, but under the weak host model it would
// answer for the adapter's addresses with its own MAC whenever it is not isolated (before isolation, after a crash).
const memberARPIgnore = "8"

// MemberSetup is how Strip sets a member up.
type MemberSetup struct {
	MTU int              // 0: keep
	GRO settings.Offload // OffloadAuto: keep

	// KeepLeases leaves leased IPv4 addresses on the member: its DHCP client begins anew if they vanish.
	KeepLeases bool

	// KeepDown are ifindexes of NICs that are not brought up: the team had them up, and somebody has set them down.
	KeepDown []int
}

// Strip removes a recorded member's addresses and routes (after Adopt, or for good with --address none or CIDR), turns
// IPv6 and LRO off, bounds its super-frames, sets the MTU (0: keeps it) and brings it up, unless KeepDown has it. MAC
// and promiscuity never change. It may be repeated.
func (h *Host) Strip(nic string, want MemberSetup) error { return h.StripAll([]string{nic}, want) }

// StripAll is Strip of several members. All of it is in the journal before the first one is touched.
func (h *Host) StripAll(nics []string, want MemberSetup) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return fmt.Errorf("strip NICs: %w", err)
	}
	var members []*journal.MemberState
	var begun []journal.Record
	for _, nic := range nics {
		m, err := h.memberNamed(j, nic)
		if err != nil {
			return fmt.Errorf("strip: %w", err)
		}
		members = append(members, m)
		begun = append(begun, journal.Record{Kind: journal.KindStrip, No: m.No})
	}
	// A NIC that returns again and again is not journalled each time: the state implies that it was begun.
	if err := j.Write(begun...); err != nil {
		return h.writeProblem(err)
	}
	for i, m := range members {
		if err := h.strip(m, want); err != nil {
			return fmt.Errorf("strip NIC %s: %w", nics[i], err)
		}
	}
	return nil
}

func (h *Host) strip(m *journal.MemberState, want MemberSetup) error {
	l, n, err := h.memberLink(m)
	if err != nil {
		return err
	}
	have, err := h.rt.Addresses(n.Index)
	if err != nil {
		return err
	}
	if err := h.ignoreReadOnly(h.writeSysctl(n.Name, arpIgnore, memberARPIgnore)); err != nil {
		return err
	}
	// A DHCP server's answer to a socket on the NIC comes from a subnet that is on the adapter now.
	if err := h.ignoreReadOnly(h.writeSysctl(n.Name, rpFilter, "0")); err != nil {
		return err
	}
	for _, a := range addressesToStrip(m, have, want) {
		if err := h.rt.DeleteAddress(a, n.Name); err != nil {
			return err
		}
	}
	if err := h.disableMemberIPv6(n.Name, n.Index); err != nil {
		return err
	}
	if err := h.deleteMemberRoutes(m, n.Index); err != nil {
		return err
	}
	if err := h.rt.DeleteProxies(n.Index); err != nil {
		return err
	}
	if err := h.stripFeatures(n.Name, want.GRO); err != nil {
		return err
	}
	if err := h.setSegment(l, bounded(segmentOf(l.Attrs()))); err != nil {
		return err
	}
	if err := h.rt.SetMTU(l, want.MTU); err != nil {
		return err
	}
	if err := h.keepIPv6Off(l, m, want.MTU); err != nil {
		return err
	}
	if slices.Contains(want.KeepDown, n.Index) {
		return nil
	}
	return h.rt.SetUp(l, true)
}

// addressesToStrip returns which of its addresses a member loses, in order.
func addressesToStrip(m *journal.MemberState, have []rtnl.Object, want MemberSetup) (list []rtnl.Object) {
	// IPv4 from the end: secondaries follow their primaries, and would vanish or be promoted with them. IPv6 from the
	// front. So at any moment the old order can be completed from what is left.
	for _, a := range slices.Backward(have) {
		// If addresses do not move, one that came after RecordMember is somebody else's, and nobody would restore it.
		if a.Family() != unix.AF_INET || !m.Adopted && !m.HadAddress(a) || want.KeepLeases && m.Adopted && isLeased(a) {
			continue
		}
		list = append(list, a)
	}
	for _, a := range have {
		if a.Family() == unix.AF_INET6 && !m.IsKernelLinkLocal(a) {
			list = append(list, a)
		}
	}
	return list
}

// stripFeatures turns off features that a member must not use, and sets GRO.
func (h *Host) stripFeatures(nic string, wanted settings.Offload) error {
	features := map[string]bool{lro: false, vlanFilter: false, serviceVLANFilter: false}
	if wanted != settings.OffloadAuto {
		features[gro] = wanted == settings.OffloadOn
	}
	err := h.setFeatures(nic, features)
	if err == nil || rtnl.IsInjectedCrash(err) {
		return err
	}
	// Some drivers refuse to turn VLAN filters off.
	delete(features, vlanFilter)
	delete(features, serviceVLANFilter)
	if err := h.setFeatures(nic, features); err != nil {
		return err
	}
	h.log.Warn("NIC still filters VLANs: it receives none of the adapter's", "nic", nic)
	return nil
}

// deleteMemberRoutes deletes the routes on a member. If nothing moves, routes that came after RecordMember stay,
// because nobody would restore them.
func (h *Host) deleteMemberRoutes(m *journal.MemberState, index int) error {
	routes, err := h.routesToStrip(m, index)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := h.rt.DeleteRoute(rtnl.RouteRequest(r, nil)); err != nil {
			return err
		}
	}
	return nil
}

// routesToStrip returns the routes that a member loses.
func (h *Host) routesToStrip(m *journal.MemberState, index int) ([]rtnl.Object, error) {
	mine, advertised, err := h.rt.LinkRoutesApart(index)
	if err != nil {
		return nil, err
	}
	if !m.Adopted {
		recorded := rtnl.IndexRoutes(m.Routes)
		mine = slices.DeleteFunc(mine, func(r rtnl.Object) bool {
			return !recorded.Has(rtnl.RouteRequest(r, map[int]int{index: m.Index}))
		})
	}
	return slices.DeleteFunc(append(mine, advertised...), func(r rtnl.Object) bool {
		// Other links have hops of it, too; the kernel handles a dead hop.
		return len(rtnl.RouteLinks(r)) > 1 || r.Get(rtnl.RTANexthopID) != nil
	}), nil
}

// BringUp brings the adapter up.
func (h *Host) BringUp(adapter int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.rt.Handle.LinkByIndex(adapter)
	if err != nil {
		return fmt.Errorf("bring up adapter: %w", err)
	}
	return h.rt.SetUp(l, true)
}
