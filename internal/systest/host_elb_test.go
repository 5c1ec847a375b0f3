// SPDX-License-Identifier: MIT

package systest

import (
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab/labtest"
)

// peers returns the document of `nicteam peers --json`.
func (w *world) peers() *api.Peers {
	w.t.Helper()
	return ask(w.t, w.box, teamName, (*control.Client).Peers)
}

// TestELBIsShown creates a team without --mode and checks what peers, watch and explain show of it.
func TestELBIsShown(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.create(nics(3))
	if s := w.status(); s.Mode != "elb" || s.State != "up" || s.Active == "" || s.FlowMoves == nil {
		t.Errorf("made as %+v", s)
	}
	ping := func(address string) {
		t.Helper()
		labtest.Run(t, w.peer, "ping", "-c", "3", "-i", "0.2", "-W", "2", address)
	}
	// Neighbour entries from before the team would spare peer the request.
	labtest.Run(t, w.peer, "ip", "neigh", "flush", "all")
	ping(box4.String())
	ping(box6.String())

	var seen map[string]api.Peer
	labtest.Eventually(t, "peer is among the peers by both its addresses", func() bool {
		seen = map[string]api.Peer{}
		for _, p := range w.peers().Peers {
			seen[p.Address+" "+p.Ours] = p
		}
		return seen[peer4.String()+" "+box4.String()].Member != "" &&
			seen[peer6.String()+" "+box6.String()].Member != ""
	})
	mac := link(t, w.peer, "eth0").HardwareAddr.String()
	for pair, p := range seen {
		if p.MAC != mac || !strings.HasPrefix(p.Member, "eth") || p.Since.IsZero() || p.Seen.Before(p.Since) ||
			time.Since(p.Since) > time.Minute {
			t.Errorf("%s: %+v", pair, p)
		}
	}
	if text := w.nicteam("peers", teamName); !strings.Contains(text, "PEER") ||
		!strings.Contains(text, peer4.String()) || !strings.Contains(text, mac) {
		t.Errorf("peers as a table:\n%s", text)
	}

	e := w.explain(udpFlow(firstPort, 9))
	if e.Slot < 0 || e.Hash != "layer3+4" || !strings.HasPrefix(e.Member, "eth") || e.Why == "" || e.Next == "" ||
		e.Next == e.Member || e.NextWhy == "" {
		t.Errorf("explain: %+v", e)
	}
	text := w.nicteam("explain", teamName, udpFlow(firstPort, 9))
	if !strings.Contains(text, e.Why) || !strings.Contains(text, "without "+e.Member+": "+e.Next) {
		t.Errorf("explain says\n%s\nof %+v", text, e)
	}

	table := w.nicteam("status", teamName)
	if !strings.Contains(table, "RATE ") || !strings.Contains(table, "10 Gbit/s (link)") {
		t.Errorf("status:\n%s", table)
	}
	for _, off := range []string{"receive_balance=off", "balance=off", "mode=xor"} {
		w.set(off)
		if p := w.peers(); p.Reason == "" {
			t.Errorf("%s: no reason why nobody is steered: %+v", off, p)
		}
		table := w.nicteam("status", teamName)
		if elb := off == "receive_balance=off"; strings.Contains(table, "RATE ") != elb {
			t.Errorf("status with %s:\n%s", off, table)
		}
	}
	w.set("mode=elb", "balance=on", "receive_balance=on")
	if p := w.peers(); p.Reason != "" {
		t.Errorf("elb again: %+v", p)
	}
	ping(box4.String())

	w.set("weight.eth1=0.5")
	w.await("half of eth1", func(s *api.Status) bool {
		return memberOf(t, s, "eth1").RateBps*2 == memberOf(t, s, "eth2").RateBps
	})
}
