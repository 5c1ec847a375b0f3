package host

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
	"nicteam/internal/settings"
)

// memberARPIgnore is what a member gets: answer for no local address. It has no addresses, but the weak host model would let
// it answer ARP for the adapter's with its own MAC whenever its ingress is not dropped (before isolation, after a crash).
const memberARPIgnore = "8"

// MemberSetup is what a member is to be like.
type MemberSetup struct {
	MTU int              // 0: as it is
	GRO settings.Offload // OffloadAuto: as it is
}

// Strip takes a recorded member's addresses and routes away (after Adopt has given them to the adapter, or for
// good with --address none or CIDR), turns its IPv6 and LRO off, bounds its super-frames, gives it the MTU
// (0: leaves it) and brings it up. Its MAC and promiscuity are never touched. Doing it again is fine.
func (h *Host) Strip(nic string, want MemberSetup) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return fmt.Errorf("strip NIC %s: %w", nic, err)
	}
	m, err := h.memberNamed(j, nic)
	if err != nil {
		return fmt.Errorf("strip: %w", err)
	}
	// One that comes back again and again is not written down again and again.
	known := m.Stripped
	if !known {
		if err := j.Write(journal.Record{Kind: journal.KindStrip, No: m.No}); err != nil {
			return h.writeProblem(err)
		}
	}
	if err := h.strip(m, want); err != nil {
		return fmt.Errorf("strip NIC %s: %w", nic, err)
	}
	if known {
		return nil
	}
	return j.Write(journal.Record{Kind: journal.KindStrip, No: m.No, Done: true})
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
	// The answer of a DHCP server to a socket of the NIC comes from a subnet that is the adapter's now.
	if err := h.ignoreReadOnly(h.writeSysctl(n.Name, rpFilter, "0")); err != nil {
		return err
	}
	// IPv4 from the end: secondaries stand behind their primaries, and would vanish or be promoted with them. IPv6 from the
	// front. So what is left at any moment can be completed to the old order.
	for _, a := range slices.Backward(have) {
		// Where addresses do not move, one that came since the NIC was recorded is somebody else's, and nobody would give it back.
		if a.Family() != unix.AF_INET || !m.Adopted && !m.HadAddress(a) {
			continue
		}
		if err := h.rt.DeleteAddress(a, n.Name); err != nil {
			return err
		}
	}
	for _, a := range have {
		if a.Family() != unix.AF_INET6 || m.IsKernelLinkLocal(a) {
			continue
		}
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
	return h.rt.SetUp(l, true)
}

// stripFeatures turns off what a member must not do with frames, and sets GRO as it is wanted.
func (h *Host) stripFeatures(nic string, wanted settings.Offload) error {
	features := map[string]bool{lro: false, vlanFilter: false, serviceVLANFilter: false}
	if wanted != settings.OffloadAuto {
		features[gro] = wanted == settings.OffloadOn
	}
	err := h.setFeatures(nic, features)
	if err == nil || rtnl.IsInjectedCrash(err) {
		return err
	}
	// Some drivers insist on filtering VLANs.
	delete(features, vlanFilter)
	delete(features, serviceVLANFilter)
	if err := h.setFeatures(nic, features); err != nil {
		return err
	}
	h.log.Warn("NIC goes on filtering VLANs: those on the adapter do not come in by it", "nic", nic)
	return nil
}

// deleteMemberRoutes removes the routes that are still on a member, but for those that came since it was recorded where nothing moves: nobody
// would give them back.
func (h *Host) deleteMemberRoutes(m *journal.MemberState, index int) error {
	all, err := h.rt.Routes()
	if err != nil {
		return err
	}
	advertised, err := h.rt.AdvertisedRoutes()
	if err != nil {
		return err
	}
	mine := rtnl.RoutesVia(all, index)
	if !m.Adopted {
		mine = slices.DeleteFunc(mine, func(r rtnl.Object) bool {
			return !rtnl.HasRoute(m.Routes, rtnl.RouteRequest(r, map[int]int{index: m.Index}))
		})
	}
	for _, r := range append(mine, rtnl.RoutesVia(advertised, index)...) {
		if len(rtnl.RouteLinks(r)) > 1 || r.Get(rtnl.RTANexthopID) != nil {
			continue // others reach it too; the kernel sees to a hop that is dead
		}
		if err := h.rt.DeleteRoute(rtnl.RouteRequest(r, nil)); err != nil {
			return err
		}
	}
	return nil
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
