// SPDX-License-Identifier: MIT

package team

import (
	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/monitor"

	"time"
)

// propertyWatches are what link_watch is in the property test.
var propertyWatches = [][]string{{"carrier"}, {"auto"}, {"gateway"}, {"arp:10.0.0.254"}, {"probe", "gateway"}}

// propertyGateway answers the ARP probes of members whose cables are in, unless they are mute.
type propertyGateway struct {
	down    bool
	mute    map[int]bool // by eth number
	answers []spread.Send
	moved   Moved
}

func (g *propertyGateway) hear(w *world, sends []spread.Send) {
	for _, s := range sends {
		var n frame.Neighbour
		if !frame.ParseNeighbour(s.Frame, &n) || n.Op != frame.ARPRequest || n.About != gateway || g.down ||
			!g.reaches(w, s.Member) {
			continue
		}
		g.answers = append(g.answers, spread.Send{Member: s.Member, Frame: arpAnswer(n.Sender)})
	}
}

// reaches reports whether frames of a member arrive.
func (g *propertyGateway) reaches(w *world, id int) bool {
	for n, i := range w.ids {
		if i == id {
			return w.up[n] && !w.absent[n] && !g.mute[n]
		}
	}
	return false
}

// deadline is when the gateway has something to do.
func (g *propertyGateway) deadline(w *world) time.Time {
	if len(g.answers) > 0 {
		return w.now
	}
	return time.Time{}
}

func (g *propertyGateway) speak(w *world) {
	answers := g.answers
	g.answers = nil
	for _, s := range answers {
		w.do(FromDatapath{Control{Kind: ControlFrame, Member: s.Member, Frame: s.Frame}})
	}
}

// traffic is a sample of the counters: all that distribute have sent, and those whose frames arrive have received.
func (g *propertyGateway) traffic(w *world, late bool) {
	t := monitor.Traffic{Late: late}
	for _, id := range w.ids {
		if w.plan.Distributing.Has(id) {
			g.moved[id].TX += 10
			if g.reaches(w, id) {
				g.moved[id].RX += 10
			}
		}
		t.Members = append(t.Members, monitor.Moved{ID: id, TX: g.moved[id].TX, RX: g.moved[id].RX})
	}
	w.do(Traffic{t})
}

// checkNotStranded: while a member has link, one is used, whatever the link watches say of it.
func (w *world) checkNotStranded(usable int) {
	if usable > 0 || w.l.cfg.Mode.HasPartner() {
		return
	}
	for _, m := range w.l.members {
		if m.hasLink() && !m.draining && m.unfit == "" && w.now.Sub(m.linkSince) >= admissionPatience {
			w.t.Fatalf("%s has link since %v, and no member is used: %s", m.link.Name, w.now.Sub(m.linkSince),
				m.whyDown())
		}
	}
}
