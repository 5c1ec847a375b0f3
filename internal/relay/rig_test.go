// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/tap"
	"nicteam/modes/spread"
	"nicteam/team"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const (
	adapterMAC = frame.MAC(0x0200000000aa)
	peerMAC    = frame.MAC(0x0200000000bb)
)

func memberMAC(id int) frame.MAC { return frame.MAC(0x020000000100 + uint64(id)) }

// rig is a host with an adapter team0 and members m0, m1, …, veth pairs whose other ends p0, p1, … are in peer.
type rig struct {
	testing.TB
	host, peer *lab.Host
	adapter    *tap.Adapter
	relay      *Relay
	links      []team.Link
}

func newRig(t testing.TB, members int) *rig {
	t.Helper()
	labtest.Root(t)
	g := &rig{TB: t, host: labtest.Host(t, "host"), peer: labtest.Host(t, "peer")}
	// The members' own stack is kept out by what a lab has: other addresses, no IPv6.
	labtest.Must(t, g.host.Sysctl("ipv4/conf/all/arp_ignore", "1"))
	for _, h := range []*lab.Host{g.host, g.peer} {
		labtest.Must(t, h.Sysctl("ipv6/conf/default/disable_ipv6", "1"))
	}
	for id := range members {
		g.addLink(id)
	}
	labtest.Must(t, g.host.Do(func() (err error) {
		g.adapter, err = tap.Create(tap.Options{Name: "team0", MAC: adapterMAC})
		return err
	}))
	t.Cleanup(func() { g.adapter.Delete() })
	labtest.Must(t, g.host.Up("team0"))
	labtest.Must(t, g.adapter.SetCarrier(true))
	g.start()
	return g
}

// start makes the relay and has it open all members.
func (g *rig) start() {
	g.Helper()
	var err error
	g.relay, err = New(Options{Adapter: g.adapter})
	labtest.Must(g, err)
	r := g.relay
	g.Cleanup(func() { labtest.Check(g, r.Close()) })
	for id := range g.links {
		g.join(id)
	}
}

func (g *rig) join(id int) {
	g.Helper()
	labtest.Must(g, g.host.Do(func() error { return g.relay.Join(id, g.links[id]) }))
}

// addLink makes the cable from m<id>, which filters, to p<id>.
func (g *rig) addLink(id int) {
	g.Helper()
	name, peer := fmt.Sprintf("m%d", id), fmt.Sprintf("p%d", id)
	labtest.Cable(g, g.host, name, g.peer, peer,
		lab.CableOptions{MACA: memberMAC(id).HardwareAddr(), EagerCarrier: true})
	l, err := g.host.Handle().LinkByName(name)
	labtest.Must(g, err)
	link := team.Link{Name: name, Index: l.Attrs().Index, MAC: memberMAC(id)}
	if id == len(g.links) {
		g.links = append(g.links, link)
	} else {
		g.links[id] = link
	}
}

// plan is one with all joined members in use.
func (g *rig) plan(rule spread.Rule) *spread.Plan {
	pl := &spread.Plan{Rule: rule, Adapter: adapterMAC, TeamMACs: []frame.MAC{adapterMAC}, PacketsPerMember: 1}
	for id := range g.links {
		pl.Distributing = pl.Distributing.With(id)
		pl.Collecting = pl.Collecting.With(id)
		pl.Weights[id] = spread.MaxShare
		pl.MACs[id] = memberMAC(id)
		pl.TeamMACs = append(pl.TeamMACs, memberMAC(id))
		pl.Filter[id] = []frame.MAC{adapterMAC}
	}
	pl.Multicast = pl.Collecting
	return pl
}

func (g *rig) apply(pl *spread.Plan) {
	g.Helper()
	labtest.Must(g, g.relay.Apply(pl))
	// The NICs' filters follow in a moment, and what comes before that they drop.
	for m := range g.relay.joined {
		_ = m.socket.AddFilter(g.relay.active.Load().filterOf(m.id)) // a NIC that refuses is reported by the relay
	}
}

// receiveAll makes members' NICs pass every frame up, for tests of what the relay does with those for others, or before
// the filters have followed the Plan.
func (g *rig) receiveAll() {
	g.Helper()
	for _, l := range g.links {
		dev, err := g.host.Handle().LinkByName(l.Name)
		labtest.Must(g, err)
		labtest.Must(g, g.host.Handle().SetPromiscOn(dev))
	}
}

func (g *rig) counters() *team.Counters {
	g.Helper()
	// A batch is counted at its end, which may come after its frames have arrived.
	g.relay.tx.epoch.wait()
	for id := range g.relay.members {
		if m := g.relay.members[id].Load(); m != nil {
			m.epoch.wait()
		}
	}
	c := new(team.Counters)
	g.relay.Counters(c)
	return c
}

// bridge puts the peer's ends into a bridge br0 with an address, and the adapter gets one.
func (g *rig) bridge() {
	g.Helper()
	a := netlink.NewLinkAttrs()
	a.Name = "br0"
	h := g.peer.Handle()
	br := &netlink.Bridge{LinkAttrs: a}
	labtest.Must(g, h.LinkAdd(br))
	for id := range g.links {
		l, err := h.LinkByName(fmt.Sprintf("p%d", id))
		labtest.Must(g, err)
		labtest.Must(g, h.LinkSetMaster(l, br))
	}
	labtest.Must(g, g.peer.Up("br0"))
	labtest.Must(g, g.peer.SetAddr("br0", "10.9.0.2/24"))
	labtest.Must(g, g.host.SetAddr("team0", "10.9.0.1/24"))
}
