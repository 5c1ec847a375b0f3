// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"net/netip"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// TestClaimsOfHeldAddresses: what other hosts say of this host's addresses reaches the host and, within a limit, the
// control loop; what they say of others reaches the host alone.
func TestClaimsOfHeldAddresses(t *testing.T) {
	for _, per := range []bool{false, true} {
		t.Run(fmt.Sprintf("per member %v", per), func(t *testing.T) {
			g := newRig(t, 1)
			pl := g.plan(spread.RuleSingle)
			if per {
				pl = g.perMember(spread.RuleSingle)
			}
			held4, held6 := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")
			pl.Held = []netip.Addr{held4, held6}
			g.apply(pl)
			host, peer := g.port(g.host, "team0", isAnyFrame), g.peerPort(0)
			said := func(want ...[]byte) {
				t.Helper()
				for _, b := range want {
					peer.send(b)
					host.expect(b)
				}
			}
			said(frame.GratuitousARP(peerMAC, held4.Next(), 0), frame.UnsolicitedNA(peerMAC, held6.Next(), false, 0),
				frame.GratuitousARP(peerMAC, held4, 0), frame.UnsolicitedNA(peerMAC, held6, false, 0))
			for _, want := range []netip.Addr{held4, held6} {
				c := <-g.relay.Control()
				if claim, ok := frame.ParseClaim(c.Frame); c.Kind != team.ControlFrame || c.Member != 0 || !ok ||
					claim.IP != want {
					t.Errorf("%+v, want a claim of %v", c, want)
				}
			}
			for range 10 * claimRate.Burst {
				said(frame.GratuitousARP(peerMAC, held4, 0))
			}
			if n := len(g.relay.Control()); n < claimRate.Burst/2 || n > 5*claimRate.Burst {
				t.Errorf("%d of %d frames reached the control loop", n, 10*claimRate.Burst)
			}
		})
	}
}

// TestAdvertsFromOneVirtualMAC: of two hosts that send from the MAC of one virtual router, this one hears the other's
// advertisements, and not its own when they are reflected.
func TestAdvertsFromOneVirtualMAC(t *testing.T) {
	const router = frame.MAC(0x00005e000133)
	one, two := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("in the Plan %v", known), func(t *testing.T) {
			g := newRig(t, 1)
			pl := g.perMember(spread.RuleSingle)
			pl.Promiscuous = true
			if known {
				lives(pl, frame.StationOf(router, 0))
			}
			g.apply(pl)
			g.receiveAll()
			accept := func(h *frame.Headers) bool { return h.EtherType == testType || h.IPProto == frame.ProtoVRRP }
			host, peer := g.port(g.host, "team0", accept), g.port(g.peer, "p0", accept)
			for n := range 3 {
				own, other := frametest.Advert(router, one, n), frametest.Advert(router, two, n)
				host.send(own)
				peer.next()
				peer.send(own)
				g.await("reflected", func(c *team.Counters) bool {
					return c.Members[0].RXDrop[team.DropReflected] == uint64(2*n+1)
				})
				peer.send(other)
				host.expect(other)
				// Anything else from that MAC counts as its own.
				peer.send(testFrame(frame.Broadcast, router, n))
				g.await("reflected", func(c *team.Counters) bool {
					return c.Members[0].RXDrop[team.DropReflected] == uint64(2*n+2)
				})
			}
			host.empty()
		})
	}
}
