// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"
)

// BypassedFilters describes what others have on the members that the team's traffic bypasses, because it comes in by
// the adapter: programs and tc filters on ingress, nftables hooks, rules with the NIC's name, and upper links. The
// texts are stable.
func (h *Host) BypassedFilters(members []string, adapter string) (found []string) {
	all, err := h.links()
	if err != nil {
		return nil
	}
	to := nfnl.Iface{Name: adapter, Kind: "tun"}
	if i := slices.IndexFunc(all, func(n NIC) bool { return n.Name == adapter }); i >= 0 {
		to = ifaceOf(all[i])
	}
	nft, _ := nfnl.ReadRuleset()
	tables := nfnl.ReadXtables()
	for _, n := range all {
		if !slices.Contains(members, n.Name) {
			continue
		}
		h.mu.Lock()
		others := h.hooks.ForeignPrograms(n.hookLink(), ebpf.AttachTCXIngress)
		h.mu.Unlock()
		for _, who := range others {
			found = append(found, fmt.Sprintf("%s on ingress of %s", who, n.Name))
		}
		for _, u := range n.Uppers {
			found = append(found, fmt.Sprintf("%s, which stands on %s", u, n.Name))
		}
		if n.Master != "" {
			found = append(found, fmt.Sprintf("%s %s, which %s was put into", n.MasterKind, n.Master, n.Name))
		}
		for _, where := range nft.HooksOn(n.Name) {
			found = append(found, fmt.Sprintf("%s, hooked on %s", where, n.Name))
		}
		for _, dir := range []nfnl.Direction{nfnl.Incoming, nfnl.Outgoing} {
			for _, d := range append(nfnl.EffectsWithout(nft.Effects(ifaceOf(n), dir), nft.Effects(to, dir)),
				nfnl.EffectsWithout(tables.Effects(ifaceOf(n), dir), tables.Effects(to, dir))...) {
				if line := fmt.Sprintf("%s: %s", d.Chain, d.Text); !slices.Contains(found, line) {
					found = append(found, line)
				}
			}
		}
	}
	return found
}

// WatchFilters signals changes of tc filters, upper links and interface-dependent nftables rules until ctx ends. There
// are no events for tcx programs (see FilterRevision) and legacy iptables.
func (h *Host) WatchFilters(ctx context.Context) <-chan struct{} {
	tc := rtnl.WatchEvents(ctx, []uint{unix.RTNLGRP_TC, unix.RTNLGRP_LINK},
		func(ctx context.Context, f *os.File, signal func()) {
			rtnl.ReadEvents(ctx, f, func(b []byte) {
				if concernsFilters(b) {
					signal()
				}
			})
		})
	nft := nfnl.WatchRuleset(ctx)
	both := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-tc:
			case <-nft:
			}
			rtnl.Signal(both)
		}
	}()
	return both
}

// FilterRevision changes when tcx programs on the ingress of these links change.
func (h *Host) FilterRevision(indices []int) uint64 { return tchook.Revision(indices) }

// concernsFilters reports whether rtnetlink events concern qdiscs, filters, upper links or masters.
func concernsFilters(b []byte) bool {
	return rtnl.AnyMessage(b, func(m rtnl.Message) bool {
		if m.Kind != unix.RTM_NEWLINK && m.Kind != unix.RTM_DELLINK {
			return true
		}
		o, err := rtnl.ParseObject(m.Body, rtnl.LinkHeaderLen)
		return err == nil && (o.Get(unix.IFLA_LINK) != nil || o.Get(unix.IFLA_MASTER) != nil ||
			o.Nest(unix.IFLA_LINKINFO).Text(unix.IFLA_INFO_KIND) == "vxlan")
	})
}
