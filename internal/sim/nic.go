package sim

import (
	"slices"

	"nicteam/internal/frame"
)

// NIC is a network card.
type NIC struct {
	*End
	Name   string
	Index  int // ifindex
	MAC    frame.MAC
	Speed  uint64 // bit/s that it tells, whatever its wire carries; 0: none
	OwnMAC bool   // takes in frames for its own address only, as a Wi-Fi station does
	Hidden bool   // nobody knows of OwnMAC until the NIC is given an address more
	Half   bool   // it has agreed on half duplex
	Refuse bool   // says so when it is given a frame without a carrier; else the frame is lost

	filter  []frame.MAC // that it takes in besides its own
	groups  groupFilter
	watched frame.MAC // the same
	promisc bool
	up      func(*Packet) // who gets what it takes in
	watch   func()        // hears when the carrier has changed
}

// NIC adds a card without a cable.
func (w *World) NIC(name string) *NIC {
	n := &NIC{End: w.end(name), Name: name, MAC: w.number(0x1)}
	n.Index = w.hosts
	n.take, n.carrier = n.taken, n.turned
	return n
}

// taken is the filter of what arrives.
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
