// SPDX-License-Identifier: MIT

package systest

import (
	"cmp"
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/lab/ha"
	"nicteam/internal/lab/labtest"
)

func service(port uint16) netip.AddrPort { return netip.AddrPortFrom(ha.ServiceAddress, port) }

func longHA(t *testing.T) {
	if *haRounds == 0 {
		t.Skip("make test-ha")
	}
}

// checkShares checks how many of all requests each real server has answered.
func checkShares(t *testing.T, what string, a ha.Answers, real1, real2 int) {
	t.Helper()
	if a.Failed > 0 || a.By["real1"] != real1 || a.By["real2"] != real2 {
		t.Errorf("%s: %v, want %d and %d", what, a, real1, real2)
	}
}

// TestHASpread shares requests out by each of the rules of nftables.
func TestHASpread(t *testing.T) {
	longHA(t)
	s := newSite(t, ha.Options{Mode: "elb", Advert: "0.1"})
	clients, err := s.AddClients(16)
	labtest.Must(t, err)
	checkShares(t, "round-robin", ha.Ask(s.Client, netip.Addr{}, service(80), 1000), 500, 500)
	labtest.Must(t, s.VS1.Rules("wrr.nft"))
	checkShares(t, "weighted", ha.Ask(s.Client, netip.Addr{}, service(80), 999), 666, 333)

	const each = 20
	one := func(from netip.Addr, port uint16) string {
		a := ha.Ask(s.Client, from, service(port), each)
		for name, n := range a.By {
			if n == each {
				return name
			}
		}
		t.Errorf("%v to port %d: %v, want one server", from, port, a)
		return ""
	}
	labtest.Must(t, s.VS1.Rules("client.nft"))
	by := map[string]int{}
	for _, c := range clients {
		name := one(c, 80)
		by[name]++
		if other := one(c, 8080); other != name {
			t.Errorf("by client: %v has %s, and %s at another port", c, name, other)
		}
	}
	if len(by) != 2 {
		t.Errorf("by client: %v", by)
	}
	labtest.Must(t, s.VS1.Rules("port.nft"))
	by = map[string]int{}
	differ := 0
	for _, c := range clients {
		name, other := one(c, 80), one(c, 8080)
		by[name]++
		if other != name {
			differ++
		}
	}
	if len(by) != 2 || differ == 0 {
		t.Errorf("by client and port: %v, %d clients have two servers", by, differ)
	}
}

// TestHAProxy shares requests out by haproxy, which notices servers that die.
func TestHAProxy(t *testing.T) {
	longHA(t)
	labtest.Tool(t, "haproxy", "haproxy")
	s := newSite(t, ha.Options{Mode: "elb", Advert: "0.1"})
	labtest.Must(t, s.UseHAProxy(t.Context()))
	checkShares(t, "weighted", ha.Ask(s.Client, netip.Addr{}, service(8081), 999), 666, 333)
	clients, err := s.AddClients(6)
	labtest.Must(t, err)
	for _, c := range clients {
		if a := ha.Ask(s.Client, c, service(8082), 20); len(a.By) != 1 || a.Failed > 0 {
			t.Errorf("persistent: %v: %v", c, a)
		}
	}
	// real1 has connections, real2 none.
	labtest.Must(t, s.SetServer("web", "real2", false))
	release, err := s.Hold(t.Context(), service(80), 10)
	labtest.Must(t, err)
	labtest.Must(t, s.SetServer("web", "real2", true))
	checkShares(t, "least-connected", ha.Ask(s.Client, netip.Addr{}, service(80), 100), 0, 100)
	release()

	tr := siteTraffic(t, s, ha.Sizes{})
	// Two checks of one second each, and the second for which a check or a connection waits.
	checkStep(t, tr.RealDies(t.Context(), false, 3*time.Second))
	checkStep(t, tr.RealDies(t.Context(), true, 4*time.Second))
}

// TestEqualServers: one of two servers that stand in for each other loses all its cables.
func TestEqualServers(t *testing.T) {
	longHA(t)
	for _, advert := range []string{"", "0.1"} {
		t.Run("advert "+cmp.Or(advert, "1"), func(t *testing.T) {
			s := newSite(t, ha.Options{Mode: "elb", Advert: advert})
			h, err := s.MakeEqual(t.Context())
			labtest.Must(t, err)
			checkStep(t, s.EqualDies(t.Context(), h))
		})
	}
}
