// SPDX-License-Identifier: MIT

package sim

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/team"
)

// NIC is a network card.
type NIC struct {
	*End
	Name   string
	Index  int // ifindex
	MAC    frame.MAC
	Speed  uint64 // bit/s as reported, whatever its wire carries; 0 unknown
	OwnMAC bool   // accepts frames for its own MAC only, as a Wi-Fi station does
	Hidden bool   // OwnMAC shows only when the NIC refuses another MAC
	Ignore bool   // OwnMAC never shows: it takes another MAC without a word, as some virtual functions do
	Half   bool   // half duplex
	Refuse bool   // returns an error for a frame without a carrier; else the frame is lost

	filter  []frame.MAC // MACs accepted besides its own
	groups  groupFilter
	watched frame.MAC // the same
	promisc bool
	up      func(*Packet) // receives the frames that it accepts
	watch   func()        // called when the carrier changes
}

// NIC adds a NIC without a cable.
func (w *World) NIC(name string) *NIC {
	n := &NIC{End: w.end(name), Name: name, MAC: w.number(0x1)}
	n.Index = w.hosts
	n.take, n.carrier = n.taken, n.turned
	return n
}

// taken filters received frames.
func (n *NIC) taken(p *Packet) {
	if n.up == nil {
		return
	}
	if d := p.h.Dst; d == n.MAC || d.Multicast() && n.groups.has(d) ||
		!n.OwnMAC && (n.promisc || d == n.watched || slices.Contains(n.filter, d)) {
		n.up(p)
	}
}

func (n *NIC) turned() {
	if n.watch != nil {
		n.watch()
	}
}

func (n *NIC) duplex() string {
	if n.Half {
		return "half"
	}
	return "full"
}

// Readdress changes the MAC of a member, as a user may. The loop observes it a moment later.
func (t *Team) Readdress(n *NIC) {
	n.MAC = t.w.number(0x1)
	t.w.Tell("%s: %s has %v now", t.Name, n.Name, n.MAC)
	t.w.After(t.w.between(0, readDelay), func() {
		l := team.Link{Name: n.Name, Index: n.Index, MAC: n.MAC}
		t.handle(team.Observed{NICs: []team.ObservedNIC{{Link: l, MTU: 1500}}})
	})
}
