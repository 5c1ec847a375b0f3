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

// BypassedFilters names what others have put on the members and which does not see what comes in, because that comes by the adapter:
// programs and tc filters on their ingress, nftables hooks on them, rules that name them, and links that stand on them. The words are the same each
// time.
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
		others := h.hooks.Foreign(n.hookLink(), ebpf.AttachTCXIngress)
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
			for _, d := range append(nfnl.EffectsWithout(nft.Effects(ifaceOf(n), dir), nft.Effects(to, dir)), nfnl.EffectsWithout(tables.Effects(ifaceOf(n), dir), tables.Effects(to, dir))...) {
				if line := fmt.Sprintf("%s: %s", d.Chain, d.Text); !slices.Contains(found, line) {
					found = append(found, line)
				}
			}
		}
	}
	return found
}

// WatchFilters subscribes to changes of tc filters, of links that stand on others, and of nftables as far as those can concern links, until
// ctx ends. Programs by tcx come without an event, see FilterRevision; so do rules of the older iptables.
func (h *Host) WatchFilters(ctx context.Context) <-chan struct{} {
	tc := rtnl.WatchEvents(ctx, []uint{unix.RTNLGRP_TC, unix.RTNLGRP_LINK}, func(ctx context.Context, f *os.File, signal func()) {
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

// FilterRevision changes with the programs by tcx on the ingress of links.
func (h *Host) FilterRevision(indices []int) uint64 { return tchook.Revision(indices) }

// concernsFilters reports whether messages of rtnetlink are about qdiscs and filters, or about links that stand on others or are in others.
func concernsFilters(b []byte) bool {
	return rtnl.AnyMessage(b, func(m rtnl.Message) bool {
		if m.Kind != unix.RTM_NEWLINK && m.Kind != unix.RTM_DELLINK {
			return true
		}
		o, err := rtnl.ParseObject(m.Body, rtnl.LinkHeaderLen)
		return err == nil && (o.Get(unix.IFLA_LINK) != nil || o.Get(unix.IFLA_MASTER) != nil || o.Nest(unix.IFLA_LINKINFO).Text(unix.IFLA_INFO_KIND) == "vxlan")
	})
}
