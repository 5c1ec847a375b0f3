// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

func TestFilterAndPromiscuous(t *testing.T) {
	g := newRig(t, 1)
	// A veth has no filter for unicast addresses: the kernel makes it promiscuous when one is wanted. So
	// its promiscuity counts one for a filter that is not empty and one for Promiscuous.
	apply := func(promiscuous bool, want int, filter ...frame.MAC) {
		t.Helper()
		pl := g.plan(spread.RuleSingle)
		pl.Promiscuous, pl.Filter[0] = promiscuous, filter
		g.apply(pl)
		what := fmt.Sprintf("promiscuity %d with promiscuous %v, filter %v", want, promiscuous, filter)
		labtest.Eventually(t, what, func() bool {
			l, err := g.host.Handle().LinkByName("m0")
			labtest.Must(t, err)
			return l.Attrs().Promisc == want
		})
	}
	apply(false, 0)
	apply(true, 1)
	apply(true, 2, adapterMAC, 0x020000000abc)
	apply(true, 2, 0x020000000abc)
	apply(false, 1, adapterMAC)
	apply(false, 0)
	apply(true, 2, adapterMAC)
	labtest.Must(t, g.relay.Leave(0))
	l, err := g.host.Handle().LinkByName("m0")
	labtest.Must(t, err)
	if l.Attrs().Promisc != 0 {
		t.Errorf("promiscuity %d after Leave", l.Attrs().Promisc)
	}
}

// A NIC that accepts nothing but its own is named; the rest of the Plan is in force.
func TestRefusedAddressesAreReported(t *testing.T) {
	g := newRig(t, 2)
	// A TUN device has no addresses: the kernel refuses to give it one to filter.
	a := netlink.NewLinkAttrs()
	a.Name = "m2"
	labtest.Must(t, g.host.Do(func() error {
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: a, Mode: netlink.TUNTAP_MODE_TUN})
	}))
	l, err := g.host.Handle().LinkByName("m2")
	labtest.Must(t, err)
	g.links = append(g.links, team.Link{Name: "m2", Index: l.Attrs().Index, MAC: memberMAC(2)})
	g.join(2)
	pl := g.plan(spread.RuleSingle)
	g.apply(pl)
	told := func() {
		t.Helper()
		late := time.After(labtest.Patience)
		for {
			select {
			case c := <-g.relay.Control():
				if c.Kind != team.ControlRefused {
					continue
				}
				if c.Member != 2 || c.Err == nil {
					t.Errorf("reported %+v", c)
				}
				return
			case <-late:
				t.Error("not reported")
				return
			}
		}
	}
	told()
	host, peer := g.teamPort(), g.peerPort(0)
	b := testFrame(peerMAC, adapterMAC, 1)
	host.send(b)
	peer.expect(b)

	labtest.Must(t, g.relay.Leave(2))
	g.join(2)
	told()
}
