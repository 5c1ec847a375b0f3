package host

import (
	"fmt"

	"github.com/vishvananda/netlink"

	"nicteam/internal/host/journal"
)

// lro is the kernel's name of large receive offload: it merges frames in a way that cannot be taken
// apart again, so a member that forwards must not do it.
const lro = "rx-lro"

// gro is the kernel's name of generic receive offload: it merges frames into super-frames that pass whole.
const gro = "rx-gro"

// The kernel's names of filters that drop frames with a VLAN tag whose id nobody has asked for. A member is asked for none:
// VLANs are made on the adapter.
const (
	vlanFilter        = "rx-vlan-filter"
	serviceVLANFilter = "rx-vlan-stag-filter"
)

// FiltersVLANs reports whether a NIC has such a filter that cannot be turned off. Only promiscuity gets past it.
func (h *Host) FiltersVLANs(name string) bool {
	list, err := h.tool.FeaturesWithState(name)
	f := list[vlanFilter]
	return err == nil && f.Active && (!f.Available || f.NeverChanged)
}

// superFrame is the largest super-frame that fits the virtio header's lengths.
const superFrame = 65536

// features lists a NIC's ethtool features that can be changed, and whether they are on.
func (h *Host) features(name string) map[string]bool {
	list, err := h.tool.FeaturesWithState(name)
	if err != nil {
		return nil // no feature can be changed by us either
	}
	on := map[string]bool{}
	for f, s := range list {
		if s.Available && !s.NeverChanged {
			on[f] = s.Active
		}
	}
	return on
}

// setFeatures changes those that differ from want.
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

// setSegment changes the sizes that differ from want; 0 leaves one alone.
func (h *Host) setSegment(l netlink.Link, want journal.SegmentSizes) error {
	have := segmentOf(l.Attrs())
	// The sizes of IPv6 first: setting one changes IPv4's with it where it is not beyond 65536.
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

// bounded are sizes that members can bear.
func bounded(s journal.SegmentSizes) journal.SegmentSizes {
	return journal.SegmentSizes{GSO: min(s.GSO, superFrame), GRO: min(s.GRO, superFrame), GSO4: min(s.GSO4, superFrame), GRO4: min(s.GRO4, superFrame)}
}
