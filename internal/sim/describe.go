// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
)

// describe returns a short text on a frame.
func describe(p *Packet) string {
	way := fmt.Sprintf("%v → %v", p.h.Src, p.h.Dst)
	if a, ok := parseARP(p); ok {
		what := fmt.Sprintf("ARP op %d", a.op)
		switch a.op {
		case opRequest:
			what = fmt.Sprintf("ARP %v at %v asks for %v", a.spa, a.sha, a.tpa)
		case opReply:
			what = fmt.Sprintf("ARP %v is at %v, to %v at %v", a.spa, a.sha, a.tpa, a.tha)
		}
		return way + " " + what
	}
	if n, ok := parseND(p); ok {
		if n.kind == typeNS {
			return fmt.Sprintf("%s ND %v at %v asks for %v", way, n.from, n.linkLayer, n.target)
		}
		return fmt.Sprintf("%s ND %v is at %v, flags %#x, to %v", way, n.target, n.linkLayer, n.flags, n.to)
	}
	if p.h.EtherType == frame.TypeRARP && len(p.b) >= 38 {
		return fmt.Sprintf("%s RARP %v is here", way, frame.MACAt(p.b, 22))
	}
	if pdu, err := lacp.ParsePDU(p.b); err == nil && isPDU(p) {
		return fmt.Sprintf("%v LACPDU port %d key %d %v, of %v port %d key %d %v", p.h.Src, pdu.Actor.Port,
			pdu.Actor.Key, stateWords(pdu.Actor.State),
			pdu.Partner.System.MAC, pdu.Partner.Port, pdu.Partner.Key, stateWords(pdu.Partner.State))
	}
	if p.flow != nil {
		return fmt.Sprintf("%s %s frame %d", way, p.flow.Name, p.mark)
	}
	return fmt.Sprintf("%s ethertype %#04x, %d bytes", way, p.h.EtherType, p.size)
}

// stateWords writes the flags as letters, in their order.
func stateWords(s lacp.State) string {
	b := []byte("ATGSCDFE")
	for i := range b {
		if s>>i&1 == 0 {
			b[i] = '-'
		}
	}
	return string(b)
}
