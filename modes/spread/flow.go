// SPDX-License-Identifier: MIT

package spread

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"nicteam/internal/frame"
)

// A Flow is a flow of frames that the adapter sends.
type Flow struct {
	Proto    uint8          // IP protocol
	Src, Dst netip.AddrPort // of one family; ports 0 for ICMP

	// SrcMAC and DstMAC matter to hash policies with MACs. A zero SrcMAC is the adapter's, a zero DstMAC unknown.
	SrcMAC, DstMAC frame.MAC
	VLAN           uint16 // 0 untagged
}

// flowProtocols are the protocols of a flow's text.
var flowProtocols = []struct {
	name  string
	proto uint8
	ports bool
}{{"tcp", frame.ProtoTCP, true}, {"udp", frame.ProtoUDP, true}, {"icmp", frame.ProtoICMP, false}}

// ParseFlow reads a flow's text:
//
//	tcp 10.0.0.1:5000 10.0.0.2:80
//	udp [fd00::1]:5000 [fd00::2]:53
//	icmp 10.0.0.1 10.0.0.2
//
// IPv6 addresses without a port need no brackets. Optional words, in any order: "to MAC" (the next hop's), "from MAC"
// (of a sender behind the adapter), "vlan ID".
func ParseFlow(s string) (Flow, error) {
	words := strings.Fields(s)
	if len(words) < 3 {
		return Flow{}, fmt.Errorf("flow %q: want a protocol and two ends, such as: tcp 10.0.0.1:5000 10.0.0.2:80", s)
	}
	f := Flow{}
	ports, known := false, []string{}
	for _, p := range flowProtocols {
		known = append(known, p.name)
		if strings.EqualFold(words[0], p.name) || p.proto == frame.ProtoICMP && strings.EqualFold(words[0], "icmpv6") {
			f.Proto, ports = p.proto, p.ports
		}
	}
	if f.Proto == 0 {
		return Flow{}, fmt.Errorf("flow %q: %w", s, Unknown("protocol", words[0], known, nil))
	}
	var err error
	for i, end := range []*netip.AddrPort{&f.Src, &f.Dst} {
		if *end, err = parseEnd(words[1+i], ports); err != nil {
			return Flow{}, fmt.Errorf("flow %q: %w", s, err)
		}
	}
	if f.Src.Addr().Is4() != f.Dst.Addr().Is4() {
		return Flow{}, fmt.Errorf("flow %q: one end is IPv4 and the other IPv6", s)
	}
	if f.Src.Addr().Is6() && f.Proto == frame.ProtoICMP {
		f.Proto = frame.ProtoICMPv6
	}
	if err := f.parseRest(words[3:]); err != nil {
		return Flow{}, fmt.Errorf("flow %q: %w", s, err)
	}
	return f, nil
}

func parseEnd(s string, port bool) (netip.AddrPort, error) {
	if port {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return ap, fmt.Errorf("%q: want an address and a port, such as 10.0.0.1:80 or [fd00::1]:80", s)
		}
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), nil
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q: want an address, such as 10.0.0.1 or fd00::1", s)
	}
	return netip.AddrPortFrom(a.Unmap().WithZone(""), 0), nil
}

func (f *Flow) parseRest(words []string) error {
	for len(words) > 0 {
		if known := []string{"to", "from", "vlan"}; !slices.Contains(known, words[0]) {
			return Unknown("word", words[0], known, nil)
		}
		if len(words) < 2 {
			return fmt.Errorf("%q: nothing follows it", words[0])
		}
		var err error
		switch words[0] {
		case "to":
			f.DstMAC, err = frame.ParseMAC(words[1])
		case "from":
			f.SrcMAC, err = frame.ParseMAC(words[1])
		case "vlan":
			n, e := strconv.ParseUint(words[1], 10, 16)
			if e != nil || n < 1 || n > 4094 {
				err = fmt.Errorf("vlan %q: want 1 to 4094", words[1])
			}
			f.VLAN = uint16(n)
		}
		if err != nil {
			return err
		}
		words = words[2:]
	}
	return nil
}

// String returns the flow as ParseFlow reads it.
func (f Flow) String() string {
	name, ends := "icmp", f.Src.Addr().String()+" "+f.Dst.Addr().String()
	for _, p := range flowProtocols {
		if p.proto == f.Proto && p.ports {
			name, ends = p.name, f.Src.String()+" "+f.Dst.String()
		}
	}
	s := name + " " + ends
	if f.DstMAC != 0 {
		s += " to " + f.DstMAC.String()
	}
	if f.SrcMAC != 0 {
		s += " from " + f.SrcMAC.String()
	}
	if f.VLAN != 0 {
		s += " vlan " + strconv.Itoa(int(f.VLAN))
	}
	return s
}

// frame returns a frame of the flow as the adapter sends it, with all fields that a hash uses.
func (f Flow) frame(adapter frame.MAC) []byte {
	b := make([]byte, frame.EtherLen, 128)
	src := f.SrcMAC
	if src == 0 {
		src = adapter
	}
	f.DstMAC.Put(b, 0)
	src.Put(b, 6)
	if f.VLAN != 0 {
		binary.BigEndian.PutUint16(b[12:], frame.TypeVLAN)
		b = binary.BigEndian.AppendUint16(b, f.VLAN)
		b = append(b, 0, 0)
	}
	at := len(b)
	if f.Src.Addr().Is4() {
		binary.BigEndian.PutUint16(b[at-2:], frame.TypeIPv4)
		b = append(b, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, f.Proto, 0, 0)
	} else {
		binary.BigEndian.PutUint16(b[at-2:], frame.TypeIPv6)
		b = append(b, 0x60, 0, 0, 0, 0, 20, f.Proto, 64)
	}
	b = append(b, f.Src.Addr().AsSlice()...)
	b = append(b, f.Dst.Addr().AsSlice()...)
	switch f.Proto {
	case frame.ProtoICMP:
		b = append(b, 8, 0) // echo request: no error
	case frame.ProtoICMPv6:
		b = append(b, 128, 0)
	default:
		b = binary.BigEndian.AppendUint16(b, f.Src.Port())
		b = binary.BigEndian.AppendUint16(b, f.Dst.Port())
	}
	for len(b) < at+60 {
		b = append(b, 0)
	}
	return b
}
