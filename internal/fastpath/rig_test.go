// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/internal/tap"
	"nicteam/modes/spread"
	"nicteam/team"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const adapterMAC = frame.MAC(0x0200000000aa)

func memberMAC(id int) frame.MAC { return frame.MAC(0x020000000100 + uint64(id)) }

// rig is a host with an adapter team0 and members m0, m1, …, veth pairs whose other ends are in bridge br0 of peer.
type rig struct {
	testing.TB
	host, peer *lab.Host
	adapter    *tap.Adapter
	path       *Path
	links      []team.Link
}

// Attach attaches by tcx as package host does, in the rig's host.
func (g *rig) Attach(index int, hook ebpf.AttachType, p *ebpf.Program) (c io.Closer, err error) {
	err = g.host.Do(func() error {
		c, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: hook, Anchor: link.Head()})
		return err
	})
	if errors.Is(err, ebpf.ErrNotSupported) {
		return g.attachFilter(index, hook, p)
	}
	return c, err
}

func (g *rig) AttachIsolating(index int, p *ebpf.Program) (io.Closer, error) {
	return g.Attach(index, ebpf.AttachTCXIngress, p)
}

// Inherited and DetachInherited: nothing is of a process before.
func (g *rig) Inherited(int, ebpf.AttachType) bool        { return false }
func (g *rig) DetachInherited(int, ebpf.AttachType) error { return nil }

func newRig(t testing.TB, members int) *rig {
	t.Helper()
	labtest.Root(t)
	g := &rig{TB: t, host: labtest.Host(t, "host"), peer: labtest.Host(t, "peer")}
	labtest.Must(t, g.host.Sysctl("ipv4/conf/all/arp_ignore", "1"))
	for _, h := range []*lab.Host{g.host, g.peer} {
		labtest.Must(t, h.Sysctl("ipv6/conf/default/disable_ipv6", "1"))
	}
	a := netlink.NewLinkAttrs()
	a.Name = "br0"
	a.HardwareAddr = frame.MAC(0x0200000000b0).HardwareAddr() // else that of a port, and another one when that goes
	br := &netlink.Bridge{LinkAttrs: a}
	labtest.Must(t, g.peer.Handle().LinkAdd(br))
	for id := range members {
		g.addLink(id, br)
	}
	labtest.Must(t, g.peer.Up("br0"))
	labtest.Must(t, g.peer.SetAddr("br0", "10.9.0.2/24"))
	labtest.Must(t, g.host.Do(func() (err error) {
		g.adapter, err = tap.Create(tap.Options{Name: "team0", MAC: adapterMAC})
		return err
	}))
	t.Cleanup(func() { g.adapter.Delete() })
	labtest.Must(t, g.host.Up("team0"))
	labtest.Must(t, g.adapter.SetCarrier(true))
	labtest.Must(t, g.host.SetAddr("team0", "10.9.0.1/24"))
	r, err := relay.New(relay.Options{Adapter: g.adapter})
	labtest.Must(t, err)
	g.path = New(Options{Relay: r, Adapter: g.adapter, Hooks: g, InNamespace: g.host.Do})
	t.Cleanup(func() { labtest.Check(t, g.path.Close()) })
	for id := range g.links {
		labtest.Must(t, g.host.Do(func() error { return g.path.Join(id, g.links[id]) }))
	}
	return g
}

// addLink makes the cable from m<id>, which filters, to p<id> in the bridge.
func (g *rig) addLink(id int, br netlink.Link) {
	g.Helper()
	name, peer := fmt.Sprintf("m%d", id), fmt.Sprintf("p%d", id)
	labtest.Cable(g, g.host, name, g.peer, peer,
		lab.CableOptions{MACA: memberMAC(id).HardwareAddr(), EagerCarrier: true})
	l, err := g.host.Handle().LinkByName(name)
	labtest.Must(g, err)
	// The NICs' filters follow a Plan in a moment. Frames that these tests send right after Apply are accepted before
	// that, too.
	labtest.Must(g, g.host.Handle().NeighAdd(&netlink.Neigh{LinkIndex: l.Attrs().Index, Family: unix.AF_BRIDGE,
		Flags: netlink.NTF_SELF, State: netlink.NUD_PERMANENT, HardwareAddr: adapterMAC.HardwareAddr()}))
	p, err := g.peer.Handle().LinkByName(peer)
	labtest.Must(g, err)
	labtest.Must(g, g.peer.Handle().LinkSetMaster(p, br))
	g.links = append(g.links, team.Link{Name: name, Index: l.Attrs().Index, MAC: memberMAC(id)})
}

// plan is one with all joined members in use, as active-backup's where rule is single.
func (g *rig) plan(rule spread.Rule) *spread.Plan {
	pl := &spread.Plan{Rule: rule, Adapter: adapterMAC, TeamMACs: []frame.MAC{adapterMAC}, PacketsPerMember: 1,
		Next:  -1,
		Slots: &spread.SlotTable{Members: make([]uint8, spread.SlotCount)}, Shortest: &spread.Shortest{}}
	for id := range g.links {
		pl.Distributing = pl.Distributing.With(id)
		pl.Collecting = pl.Collecting.With(id)
		pl.Weights[id] = spread.MaxShare
		pl.Shortest.Rates[id] = 1e9
		pl.MACs[id] = memberMAC(id)
		pl.TeamMACs = append(pl.TeamMACs, memberMAC(id))
		pl.Filter[id] = []frame.MAC{adapterMAC}
	}
	for s := range pl.Slots.Members {
		pl.Slots.Members[s] = uint8(s % len(g.links))
	}
	pl.Shortest.SpeedKnown = pl.Distributing
	pl.Multicast = spread.MemberSet(0).With(0)
	return pl
}
