// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const mac1 MAC = 0x020000000001

func addrs(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// one is the only one of some frames.
func one(frames [][]byte) []byte {
	if len(frames) != 1 {
		return []byte("not one frame")
	}
	return frames[0]
}

// The frames octet by octet; the checksums in them are verified by TestAnnouncementChecksums.
func TestAnnouncements(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"gratuitous ARP", GratuitousARP(mac1, netip.MustParseAddr("10.9.0.1"), 0),
			"ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "0604" + "0001" +
				"020000000001" + "0a090001" + "000000000000" + "0a090001" + zeros(18)},
		{"gratuitous ARP in a VLAN", GratuitousARP(mac1, netip.MustParseAddr("::ffff:10.9.0.1"), 100),
			"ffffffffffff" + "020000000001" + "81000064" + "0806" + "0001" + "0800" + "0604" + "0001" +
				"020000000001" + "0a090001" + "000000000000" + "0a090001" + zeros(14)},
		{"RARP in a VLAN", RARP(mac1, 7),
			"ffffffffffff" + "020000000001" + "81000007" + "8035" + "0001" + "0800" + "0604" + "0003" +
				"020000000001" + "00000000" + "020000000001" + "00000000" + zeros(14)},
		{"RARP in a service VLAN", RARP(mac1, 7|ServiceTag),
			"ffffffffffff" + "020000000001" + "88a80007" + "8035" + "0001" + "0800" + "0604" + "0003" +
				"020000000001" + "00000000" + "020000000001" + "00000000" + zeros(14)},
		{"RARP", RARP(mac1, 0),
			"ffffffffffff" + "020000000001" + "8035" + "0001" + "0800" + "0604" + "0003" +
				"020000000001" + "00000000" + "020000000001" + "00000000" + zeros(18)},
		{"neighbour advertisement", UnsolicitedNA(mac1, netip.MustParseAddr("fd09::1"), false, 0),
			"333300000001" + "020000000001" + "86dd" + "60000000" + "0020" + "3a" + "ff" +
				"fd090000000000000000000000000001" + "ff020000000000000000000000000001" +
				"88005a89" + "20000000" + "fd090000000000000000000000000001" + "0201" + "020000000001"},
		{"neighbour advertisement of a router in a VLAN",
			UnsolicitedNA(mac1, netip.MustParseAddr("fd09::1"), true, 4094),
			"333300000001" + "020000000001" + "81000ffe" + "86dd" + "60000000" + "0020" + "3a" + "ff" +
				"fd090000000000000000000000000001" + "ff020000000000000000000000000001" +
				"8800da88" + "a0000000" + "fd090000000000000000000000000001" + "0201" + "020000000001"},
		{"IGMPv3", IGMPReport(mac1, netip.MustParseAddr("10.9.0.1"),
			addrs("239.1.2.3", "224.0.0.1", "ff02::5", "10.0.0.1", "224.0.0.251")),
			"01005e000016" + "020000000001" + "0800" + "46c00030" + "00004000" + "0102" + "f9e7" + "0a090001" +
				"e0000016" + "94040000" +
				"2200" + "03fd" + "0000" + "0002" + "04000000" + "ef010203" + "04000000" + "e00000fb"},
		{"MLDv2", MLDReport(mac1, netip.MustParseAddr("fe80::1"), addrs("ff02::1", "ff05::99", "ff01::7", "239.1.2.3")),
			"333300000016" + "020000000001" + "86dd" + "60000000" + "0024" + "00" + "01" +
				"fe800000000000000000000000000001" + "ff020000000000000000000000000016" +
				"3a000502" + "00000100" +
				"8f00" + "6f6e" + "0000" + "0001" + "04000000" + "ff050000000000000000000000000099"},
		{"IGMPv2", one(IGMPReports(mac1, netip.MustParseAddr("10.9.0.1"),
			2, addrs("224.0.0.1", "239.129.2.3", "ff02::5"))),
			"01005e010203" + "020000000001" + "0800" + "46c00020" + "00004000" + "0102" + "e889" + "0a090001" +
				"ef810203" + "94040000" +
				"1600" + "f87a" + "ef810203" + zeros(14)},
		{"IGMPv1", one(IGMPReports(mac1, netip.Addr{}, 1, addrs("239.129.2.3"))),
			"01005e010203" + "020000000001" + "0800" + "46c00020" + "00004000" + "0102" + "f293" + "00000000" +
				"ef810203" + "94040000" +
				"1200" + "fc7a" + "ef810203" + zeros(14)},
		{"MLDv1", one(MLDReports(mac1, netip.MustParseAddr("fe80::1"), 1,
			addrs("ff02::1", "ff01::7", "ff05::99", "239.1.2.3"))),
			"333300000099" + "020000000001" + "86dd" + "60000000" + "0020" + "00" + "01" +
				"fe800000000000000000000000000001" + "ff050000000000000000000000000099" +
				"3a000502" + "00000100" + "8300" + "7eed" + "0000" + "0000" + "ff050000000000000000000000000099"},
		{"ARP for IPv6", GratuitousARP(mac1, netip.MustParseAddr("fd09::1"), 0), ""},
		{"NA for IPv4", UnsolicitedNA(mac1, netip.MustParseAddr("10.9.0.1"), false, 0), ""},
		{"no group to report", IGMPReport(mac1, netip.MustParseAddr("10.9.0.1"), addrs("224.0.0.1")), ""},
		{"no group to report by MLD", MLDReport(mac1, netip.Addr{}, nil), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, hex.EncodeToString(c.got)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestAnnouncementChecksums(t *testing.T) {
	many4, many6 := []netip.Addr{}, []netip.Addr{}
	for i := range 300 {
		many4 = append(many4, netip.AddrFrom4([4]byte{239, 1, byte(i >> 8), byte(i)}))
		many6 = append(many6, netip.AddrFrom16([16]byte{0xff, 5, 14: byte(i >> 8), 15: byte(i)}))
	}
	old4, old6 := IGMPReports(mac1, netip.MustParseAddr("10.9.0.1"), 2, many4),
		MLDReports(mac1, netip.MustParseAddr("fe80::1"), 1, many6)
	if n := len(IGMPReports(mac1, netip.Addr{}, 3, many4)) +
		len(MLDReports(mac1, netip.Addr{}, 0, many6)); len(old4) != 300 || len(old6) != 300 || n != 2+5 {
		t.Errorf("%d and %d reports of 300 groups one by one, %d together", len(old4), len(old6), n)
	}
	for name, b := range map[string][]byte{
		"IGMPv1":      one(IGMPReports(mac1, netip.MustParseAddr("10.9.0.1"), 1, many4[:1])),
		"IGMPv2":      old4[299],
		"MLDv1":       old6[299],
		"NA":          UnsolicitedNA(mac1, netip.MustParseAddr("2001:db8::ffff:1"), true, 0),
		"NA, tag":     UnsolicitedNA(mac1, netip.MustParseAddr("fe80::1%eth0"), true, 9),
		"MLD":         MLDReport(mac1, netip.MustParseAddr("fe80::1"), addrs("ff05::99")),
		"MLD, many":   MLDReport(mac1, netip.Addr{}, many6),
		"IGMP":        IGMPReport(mac1, netip.Addr{}, addrs("239.1.2.3")),
		"IGMP, many":  IGMPReport(mac1, netip.MustParseAddr("10.9.0.1"), many4),
		"IGMP, small": IGMPReport(mac1, netip.MustParseAddr("10.9.0.1"), addrs("224.0.0.251")),
	} {
		t.Run(name, func(t *testing.T) {
			var h Headers
			Parse(b, &h)
			if h.L4 == 0 || len(b) > 1514 || len(b) < minFrame {
				t.Fatalf("%d octets, %+v", len(b), h)
			}
			if h.EtherType == TypeIPv4 {
				if s := slowSum(b[h.L3:h.L4]); s != 0xffff {
					t.Errorf("IPv4 header sums to %#x", s)
				}
				end := h.L3 + int(binary.BigEndian.Uint16(b[h.L3+2:]))
				if s := slowSum(b[h.L4:end]); s != 0xffff {
					t.Errorf("message sums to %#x", s)
				}
				return
			}
			end := h.L3 + 40 + int(binary.BigEndian.Uint16(b[h.L3+4:]))
			if end != len(b) {
				t.Errorf("ends at %d of %d", end, len(b))
			}
			src, _ := netip.AddrFromSlice(b[h.L3+8 : h.L3+24])
			dst, _ := netip.AddrFromSlice(b[h.L3+24 : h.L3+40])
			if s := slowSum(append(slowPseudo(src, dst, ProtoICMPv6, len(b)-h.L4), b[h.L4:]...)); s != 0xffff {
				t.Errorf("message sums to %#x with its pseudo-header", s)
			}
		})
	}
}
