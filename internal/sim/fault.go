// SPDX-License-Identifier: MIT

package sim

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
)

// Move plugs the peer's cable into another switch, or another port of the same. The peer then sends a frame, because
// a switch that keeps its table would not find it.
func (n *NIC) Move(to *Switch) {
	old := n.End
	old.wire.Set(false)
	port := to.Port()
	n.End.wire.w.Tell("%s moves to %s", n.Name, port.name)
	line := old.Line
	n.End.wire = nil
	to.w.Cable(n.End, port.End, line)
	n.send(newPacket(frame.RARP(n.MAC, 0)))
}

// Break makes an end lose a share of its frames, or all of them while the carrier stays.
func (e *End) Break(loss float64) {
	e.wire.w.Tell("%s loses %v of what it sends", e.name, loss)
	e.Loss, e.Silent = loss, loss >= 1
}

// Mend undoes Break.
func (e *End) Mend() {
	e.wire.w.Tell("%s loses nothing any more", e.name)
	e.Loss, e.Silent, e.hurt = 0, false, e.wire.w.now
}

// Flap cuts and restores a wire several times, and leaves it up. It returns how long that takes.
func (c *Wire) Flap(times int, least, most time.Duration) time.Duration {
	w, at := c.w, c.w.now
	for range times {
		w.at(at, func() { c.Set(false) })
		at += w.between(least, most)
		w.at(at, func() { c.Set(true) })
		at += w.between(least, most)
	}
	return at - w.now
}

// Forge sends from a NIC false ARP or ND frames that claim ip is at mac: a request, a gratuitous frame, or an
// unsolicited answer.
func (w *World) Forge(n *NIC, ip netip.Addr, mac frame.MAC, to *Stack) {
	var p *Packet
	switch {
	case ip.Is6():
		p = newPacket(nd{dst: groupMAC(allNodes), src: n.MAC, from: ip, to: allNodes, kind: typeNA, flags: flagOverride,
			target: ip, linkLayer: mac}.bytes())
	case w.rng.IntN(2) == 0:
		p = newPacket(arp{dst: frame.Broadcast, src: n.MAC, op: opRequest, sha: mac, spa: ip, tpa: ip}.bytes())
	default:
		p = newPacket(arp{dst: to.MAC, src: n.MAC, op: opReply, sha: mac, tha: to.MAC, spa: ip, tpa: to.IP4}.bytes())
	}
	n.send(p)
}
