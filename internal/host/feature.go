// SPDX-License-Identifier: MIT

package host

import (
	"fmt"

	"github.com/vishvananda/netlink"

	"nicteam/internal/host/journal"
)

// lro is large receive offload. It merges frames irreversibly, so a member that forwards must not use it.
const lro = "rx-lro"

// gro is generic receive offload. It merges frames into super-frames that can be forwarded.
const gro = "rx-gro"

// Filters that drop VLAN tags which were not registered. VLANs are on the adapter, so no tag is registered on members.
const (
	vlanFilter        = "rx-vlan-filter"
	serviceVLANFilter = "rx-vlan-stag-filter"
)

// FiltersVLANs reports whether the NIC has such a filter that cannot be turned off. Only promiscuity bypasses it.
func (h *Host) FiltersVLANs(name string) bool {
	list, err := h.featureStates(name)
	f := list[vlanFilter]
	return err == nil && f.active && (!f.available || f.neverChanged)
}

// superFrame is the largest super-frame: the virtio header's lengths have 16 bits.
const superFrame = 65536

// features returns the ethtool features that can be changed, and whether they are on.
func (h *Host) features(name string) map[string]bool {
	list, err := h.featureStates(name)
	if err != nil {
		return nil // then no feature can be changed
	}
	on := map[string]bool{}
	for f, s := range list {
		if s.available && !s.neverChanged {
			on[f] = s.active
		}
	}
	return on
}

// setFeatures changes the features that differ from want.
func (h *Host) setFeatures(name string, want map[string]bool) error {
	differ := map[string]bool{}
	for f, on := range h.features(name) {
		if w, ok := want[f]; ok && w != on {
			differ[f] = w
		}
	}
	if len(differ) == 0 {
		return nil
	}
	what := fmt.Sprintf("set features of %s", name)
	if err := h.faultPoint(what); err != nil {
		return err
	}
	if err := h.tool.Change(name, differ); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func segmentOf(a *netlink.LinkAttrs) journal.SegmentSizes {
	return journal.SegmentSizes{GSO: a.GSOMaxSize, GRO: a.GROMaxSize, GSO4: a.GSOIPv4MaxSize, GRO4: a.GROIPv4MaxSize}
}

// setSegment changes the sizes that differ from want; 0 keeps one.
func (h *Host) setSegment(l netlink.Link, want journal.SegmentSizes) error {
	have := segmentOf(l.Attrs())
	// IPv6's sizes first: the kernel sets IPv4's to the same value, if that is at most 65536.
	for _, s := range []struct {
		have, want uint32
		set        func(netlink.Link, int) error
	}{
		{have.GSO, want.GSO, h.rt.Handle.LinkSetGSOMaxSize},
		{have.GRO, want.GRO, h.rt.Handle.LinkSetGROMaxSize},
		{have.GSO4, want.GSO4, h.rt.Handle.LinkSetGSOIPv4MaxSize},
		{have.GRO4, want.GRO4, h.rt.Handle.LinkSetGROIPv4MaxSize},
	} {
		if s.want == 0 || s.have == 0 || s.have == s.want {
			continue
		}
		what := fmt.Sprintf("set super-frame sizes of %s", l.Attrs().Name)
		if err := h.faultPoint(what); err != nil {
			return err
		}
		if err := s.set(l, int(s.want)); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// bounded limits sizes to what members can carry.
func bounded(s journal.SegmentSizes) journal.SegmentSizes {
	return journal.SegmentSizes{GSO: min(s.GSO, superFrame), GRO: min(s.GRO, superFrame), GSO4: min(s.GSO4, superFrame),
		GRO4: min(s.GRO4, superFrame)}
}
