// SPDX-License-Identifier: MIT

package lab_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func snapshot(t *testing.T, h *lab.Host) lab.Snapshot {
	t.Helper()
	s, err := lab.TakeSnapshot(h)
	labtest.Must(t, err)
	return s
}

func TestSnapshotSeesChanges(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	c, err := lab.NewCable(a, "eth0", b, "eth0", lab.CableOptions{})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, c.Close()) })
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24", "fd09::1/64"))
	h := a.Handle()
	dev, err := h.LinkByName("eth0")
	labtest.Must(t, err)
	index := dev.Attrs().Index
	ip := net.IPv4(10, 9, 0, 9)
	_, dst, _ := net.ParseCIDR("10.77.0.0/16")
	sysctl := func(key, on, off string) (func() error, func() error) {
		return func() error { return a.Sysctl(key, on) }, func() error { return a.Sysctl(key, off) }
	}
	nft := func(args ...string) func() error { return a.Command("nft", args...).Run }
	setIgnore, unsetIgnore := sysctl("ipv4/conf/eth0/arp_ignore", "1", "0")
	addr, err := netlink.ParseAddr("10.9.0.50/24")
	labtest.Must(t, err)
	addr.ValidLft, addr.PreferedLft = 1000, 500
	neighbour := &netlink.Neigh{LinkIndex: index, IP: ip, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		State: unix.NUD_PERMANENT}
	route := &netlink.Route{LinkIndex: index, Dst: dst, Gw: net.IPv4(10, 9, 0, 2), Table: 77, Priority: 5, MTU: 1400}
	rule := netlink.NewRule()
	rule.Table, rule.Priority, rule.IifName = 77, 100, "eth0"
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "passes", Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	labtest.Must(t, err)
	t.Cleanup(func() { p.Close() })
	var program link.Link
	attach := func() error {
		return a.Do(func() (err error) {
			program, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress})
			return err
		})
	}
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0),
		Parent: netlink.HANDLE_CLSACT}}
	filter := func(parent uint32) func() error {
		return func() error {
			f := &netlink.BpfFilter{Fd: p.FD(), Name: "passes", DirectAction: true,
				FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: parent, Handle: 1, Protocol: unix.ETH_P_ALL,
					Priority: 1}}
			return errors.Join(h.QdiscAdd(clsact), h.FilterAdd(f))
		}
	}
	tests := []struct {
		name     string
		do, undo func() error
		want     string
	}{
		{"address with a lifetime", func() error { return h.AddrAdd(dev, addr) }, func() error {
			return h.AddrDel(dev, addr)
		}, "+ address eth0"},
		{"route", func() error { return h.RouteAdd(route) }, func() error {
			return h.RouteDel(route)
		}, "+ route family 2"},
		{"rule", func() error { return h.RuleAdd(rule) }, func() error { return h.RuleDel(rule) }, "+ rule family 2"},
		{"neighbour", func() error { return h.NeighSet(neighbour) }, func() error {
			return h.NeighDel(neighbour)
		}, "+ neighbour eth0"},
		{"MTU", func() error { return h.LinkSetMTU(dev, 1400) }, func() error {
			return h.LinkSetMTU(dev, 1500)
		}, "+ link eth0 mtu 1400"},
		{"promiscuous", func() error { return h.SetPromiscOn(dev) }, func() error {
			return h.SetPromiscOff(dev)
		}, "+ link eth0 promiscuity 1"},
		{"sysctl", setIgnore, unsetIgnore, "+ sysctl net/ipv4/conf/eth0/arp_ignore = 1"},
		{"qdisc", func() error { return a.Shape("eth0", 1e8) }, func() error {
			return a.Shape("eth0", 0)
		}, "+ qdisc eth0"},
		{"tcx program", attach, func() error { return program.Close() }, `+ bpf eth0 tcx ingress 0: program `},
		{"clsact", func() error { return h.QdiscAdd(clsact) }, func() error {
			return h.QdiscDel(clsact)
		}, "+ qdisc eth0 handle 0xffff0000"},
		{"filter on ingress", filter(netlink.HANDLE_MIN_INGRESS), func() error {
			return h.QdiscDel(clsact)
		}, "+ filter eth0 handle 0x1 parent 0xfffffff2"},
		{"filter on egress", filter(netlink.HANDLE_MIN_EGRESS), func() error {
			return h.QdiscDel(clsact)
		}, "+ filter eth0 handle 0x1 parent 0xfffffff3"},
		{"nft", nft("add", "table", "netdev", "x"), nft("delete", "table", "netdev", "x"), "+ nft 0000 table netdev x"},
	}
	before := labtest.Settled(t, a)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "nft" {
				labtest.Tool(t, "nft", "nftables")
			}
			labtest.Must(t, tt.do())
			if diff := lab.Diff(before, snapshot(t, a)); !strings.Contains(diff, tt.want) {
				t.Errorf("want a line %q:\n%s", tt.want, diff)
			}
			labtest.Must(t, tt.undo())
			if diff := lab.Diff(before, labtest.Settled(t, a)); diff != "" {
				t.Errorf("undone, and still:\n%s", diff)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	a, b := lab.Snapshot{"a", "b", "d", "d"}, lab.Snapshot{"b", "c", "d"}
	if got, want := lab.Diff(a, b), "- a\n+ c\n- d"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := lab.Diff(a, a); got != "" {
		t.Errorf("%q", got)
	}
}
