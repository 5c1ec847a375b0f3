// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// askedOf writes whom a member asks, as "gateway 10.9.0.2 answers", in order.
func askedOf(m api.Member) string {
	var list []string
	if m.Watch != nil {
		for _, a := range m.Watch.Asked {
			says := "is silent"
			if a.Answers {
				says = "answers"
			}
			list = append(list, fmt.Sprintf("%s %s %s", a.Watch, a.IP, says))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// awaitAsked waits until every member asks just these.
func (w *world) awaitAsked(want string) *api.Status {
	w.t.Helper()
	got := ""
	defer func() {
		if w.t.Failed() {
			w.t.Logf("asked last: %s", got)
		}
	}()
	return w.await("asked: "+want, func(s *api.Status) bool {
		for _, m := range s.Members {
			if got = m.Name + ": " + askedOf(m); askedOf(m) != want {
				return false
			}
		}
		return true
	})
}

// TestWatchesFollowTheHost: link watches ask the gateway that the members' routes had, from the start, and then
// whatever gateways the adapter's routes have.
func TestWatchesFollowTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{Asks: true})
	w.sh("ip route add default via 10.9.0.2")
	w.create(nics(2), "--link-watch", "gateway", "--probe-interval", "200ms")
	if s := w.status(); s.State != "up" {
		t.Errorf("after create the team is %s: %s", s.State, s.Reason)
	}
	w.awaitAsked("gateway 10.9.0.2 answers")

	labtest.Must(t, w.peer.SetAddr("eth0", "10.9.0.3/24", "fd09::3/64"))
	w.sh("ip route replace default via 10.9.0.3")
	w.awaitAsked("gateway 10.9.0.3 answers")
	w.sh("ip -6 route add default via fd09::3 dev team0")
	w.awaitAsked("gateway 10.9.0.3 answers, gateway fd09::3 answers")
	w.sh("ip -6 route del default; ip route replace default via 10.9.0.99")
	s := w.awaitAsked("gateway 10.9.0.99 is silent")
	for _, m := range s.Members {
		if m.State == "down" {
			t.Errorf("%s is down because the gateway answers nobody: %s", m.Name, m.Reason)
		}
	}
	w.await("a warning about the gateway", func(s *api.Status) bool {
		return strings.Contains(strings.Join(s.Warnings, "\n"), "10.9.0.99")
	})
	w.sh("ip route del default")
	w.awaitAsked("")

	w.set("arp_ip_target=10.9.0.3", "ns_ip6_target=fd09::3", "arp_interval=100", "arp_all_targets=any")
	w.awaitAsked("arp 10.9.0.3 answers, nd fd09::3 answers")
	if got := w.status().Settings; got.LinkWatch != "arp:10.9.0.3,nd:fd09::3" || got.ProbeInterval != 100_000_000 ||
		got.WatchPolicy != "any" {
		t.Errorf("settings %+v", got)
	}
	checkRefused(t, w.try("set", teamName, "link_watch=arp:10.9.0.1"), 2, "own address")
	if r := w.try("set", teamName, "link_watch=arp:10.8.0.1"); r.Code != 0 ||
		!strings.Contains(r.Out+r.Err, "on no subnet of team0") {
		t.Errorf("a target behind a router: %+v", r)
	}
	if r := w.try("set", teamName, "probe_interval=10ms", "probe_misses=2"); r.Code != 0 ||
		!strings.Contains(r.Out+r.Err, "100 frames a second") {
		t.Errorf("a short interval: %+v", r)
	}
	w.set("link_watch=carrier", "undamp=eth2")
	w.awaitAsked("")
	checkRefused(t, w.try("set", teamName, "undamp=eth9"), 3, "not a member")

	w.set("link_watch=gateway", "probe_interval=200ms", "probe_misses=3")
	w.sh("ip route add default via 10.9.0.2")
	w.awaitAsked("gateway 10.9.0.2 answers")
	w.nicteam("restart", teamName)
	w.awaitAsked("gateway 10.9.0.2 answers")
}
