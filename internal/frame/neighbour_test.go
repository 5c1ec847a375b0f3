// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	mac2     MAC = 0x020000000002
	mac3     MAC = 0x020000000003
	hexOurs6     = "fd090000000000000000000000000001"
	hexPeer6     = "fd090000000000000000000000000002"
)

var (
	ours4, peer4 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	ours6, peer6 = netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")
)

// nd returns a frame from mac2 to mac1 with an ICMPv6 message in it, tags in front; the checksum is right.
func nd(t testing.TB, tags, message string) []byte {
	t.Helper()
	m := unhex(t, message)
	b := unhex(t, "020000000001"+"020000000002"+tags+"86dd"+"60000000")
	b = binary.BigEndian.AppendUint16(b, uint16(len(m)))
	b = append(b, 58, 255)
	b = append(b, unhex(t, hexOurs6+hexPeer6)...)
	s := ^slowSum(append(slowPseudo(ours6, peer6, ProtoICMPv6, len(m)), m...))
	m[2], m[3] = byte(s>>8), byte(s)
	return append(b, m...)
}

func TestParseNeighbour(t *testing.T) {
	const arp = "020000000001" + "020000000002" + "0806" + "0001080006040002" + "020000000002" + "0a090001" +
		"020000000001" + "0a090002"
	const ns = "87000000" + "00000000" + hexPeer6
	from := func(f func(*Neighbour)) *Neighbour {
		n := &Neighbour{Dst: mac1, Src: mac2, Plain: true, From: ours6, To: peer6}
		f(n)
		return n
	}
	for _, c := range []struct {
		name string
		in   []byte
		want *Neighbour // nil: not taken
	}{
		{"ARP reply", unhex(t, arp), &Neighbour{Op: ARPReply, Dst: mac1, Src: mac2, Plain: true, Sender: mac2,
			Target: mac1, From: ours4, To: peer4, About: peer4}},
		{"ARP in a VLAN", unhex(t, arp[:24]+"81006064"+arp[24:]), &Neighbour{Op: ARPReply, Dst: mac1, Src: mac2,
			VLAN: 100, Plain: true, Sender: mac2, Target: mac1, From: ours4, To: peer4, About: peer4}},
		{"ARP in two VLANs", unhex(t, arp[:24]+"88a8000581000064"+arp[24:]), &Neighbour{Op: ARPReply, Dst: mac1,
			Src: mac2, VLAN: 5, Sender: mac2, Target: mac1, From: ours4, To: peer4, About: peer4}},
		{"ARP in a VLAN of 802.1ad", unhex(t, arp[:24]+"88a80005"+arp[24:]), &Neighbour{Op: ARPReply, Dst: mac1,
			Src: mac2, VLAN: 5, Sender: mac2, Target: mac1, From: ours4, To: peer4, About: peer4}},
		{"ARP request, padded", unhex(t, strings.Replace(arp, "06040002", "06040001", 1)+"ffff"),
			&Neighbour{Op: ARPRequest, Dst: mac1, Src: mac2, Plain: true, Sender: mac2, Target: mac1, From: ours4,
				To: peer4, About: peer4}},
		{"RARP's operation", unhex(t, strings.Replace(arp, "06040002", "06040003", 1)), nil},
		{"ARP of another hardware", unhex(t, strings.Replace(arp, "00010800", "00060800", 1)), nil},
		{"ARP for something else", unhex(t, strings.Replace(arp, "00010800", "000186dd", 1)), nil},
		{"ARP with long addresses", unhex(t, strings.Replace(arp, "0604000", "0804000", 1)), nil},
		{"ARP cut off", unhex(t, arp[:len(arp)-2]), nil},
		{"IPv4", unhex(t, macs+"0800"+"45000028000040004006"+"0000"+ipv4To+tcp20), nil},
		{"runt", unhex(t, arp[:26]), nil},
		{"solicitation", nd(t, "", ns+"0101020000000002"),
			from(func(n *Neighbour) { n.Op, n.About, n.Sender = NeighbourSolicitation, peer6, mac2 })},
		{"solicitation without options in a VLAN", nd(t, "81000007", ns),
			from(func(n *Neighbour) { n.Op, n.About, n.VLAN = NeighbourSolicitation, peer6, 7 })},
		{"advertisement", nd(t, "", "88000000"+"e0000000"+hexOurs6+"0201020000000002"), from(func(n *Neighbour) {
			n.Op, n.About, n.Target, n.Router, n.Solicited, n.Override = NeighbourAdvertisement, ours6, mac2,
				true, true, true
		})},
		{"advertisement with a nonce first", nd(t, "", "88000000"+"40000000"+hexOurs6+
			"0e02aabbccddeeff00112233445566778899"[:32]+"0201020000000002"), from(func(n *Neighbour) {
			n.Op, n.About, n.Target, n.Solicited = NeighbourAdvertisement, ours6, mac2, true
		})},
		{"router solicitation", nd(t, "", "85000000"+"00000000"+"0101020000000002"),
			from(func(n *Neighbour) { n.Op, n.Sender = RouterSolicitation, mac2 })},
		{"router advertisement", nd(t, "", "86000000"+"4000070800000000"+"00000000"+"0101020000000002"+
			"05010000000005dc"), from(func(n *Neighbour) { n.Op, n.Sender = RouterAdvertisement, mac2 })},
		{"redirect", nd(t, "", "89000000"+"00000000"+hexPeer6+hexOurs6+"0201020000000003"),
			from(func(n *Neighbour) { n.Op, n.About, n.Target = Redirect, peer6, mac3 })},
		{"an address of another length", nd(t, "", ns+"0102020000000002"+"0000000000000000"),
			from(func(n *Neighbour) { n.Op, n.About = NeighbourSolicitation, peer6 })},
		{"option of no length", nd(t, "", ns+"0100020000000002"), nil},
		{"option cut off", nd(t, "", ns+"0102020000000002"), nil},
		{"half an option", nd(t, "", ns+"01010200"), nil},
		{"code", nd(t, "", "87010000"+ns[8:]), nil},
		{"no room for the target", nd(t, "", "88000000"+"e0000000"+hexOurs6[:28]), nil},
		{"redirect without destination", nd(t, "", "89000000"+"00000000"+hexPeer6), nil},
		{"echo", nd(t, "", "80000000"+"00000000"+hexPeer6), nil},
		{"through a router", func() []byte { b := nd(t, "", ns); b[14+7] = 254; return b }(), nil},
		{"longer than the frame", func() []byte { b := nd(t, "", ns); b[14+5]++; return b }(), nil},
		{"shorter than its header", func() []byte { b := nd(t, "", ns); b[14+5] = 7; return b }(), nil},
		{"padded", append(nd(t, "", ns), 1, 2, 3), from(func(n *Neighbour) {
			n.Op, n.About = NeighbourSolicitation, peer6
		})},
		{"nothing", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n Neighbour
			ok := ParseNeighbour(c.in, &n)
			if ok != (c.want != nil) {
				t.Fatalf("taken: %v", ok)
			}
			if !ok {
				return
			}
			if d := cmp.Diff(c.want, &n, cmpopts.IgnoreUnexported(Neighbour{}),
				cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestUnicastAnnouncements(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"ARP", UnicastARP(mac1, ours4, mac2, 0),
			"020000000002" + "020000000001" + "0806" + "0001080006040002" + "020000000001" + "0a090001" +
				"020000000001" + "0a090001" + zeros(18)},
		{"ARP in a VLAN", UnicastARP(mac1, ours4, mac2, 100),
			"020000000002" + "020000000001" + "81000064" + "0806" + "0001080006040002" + "020000000001" + "0a090001" +
				"020000000001" + "0a090001" + zeros(14)},
		{"NA", UnicastNA(mac1, ours6, false, mac2, peer6, 0),
			"020000000002" + "020000000001" + "86dd" + "60000000" + "0020" + "3a" + "ff" + hexOurs6 + hexPeer6 +
				"8800" + "5c81" + "20000000" + hexOurs6 + "0201" + "020000000001"},
		{"NA of a router in a VLAN", UnicastNA(mac1, ours6, true, mac2, peer6, 7),
			"020000000002" + "020000000001" + "81000007" + "86dd" + "60000000" + "0020" + "3a" + "ff" + hexOurs6 +
				hexPeer6 +
				"8800" + "dc80" + "a0000000" + hexOurs6 + "0201" + "020000000001"},
		{"NS", UnicastNS(mac1, ours6, mac2, peer6, 0),
			"020000000002" + "020000000001" + "86dd" + "60000000" + "0020" + "3a" + "ff" + hexOurs6 + hexPeer6 +
				"8700" + "7e80" + "00000000" + hexPeer6 + "0101" + "020000000001"},
		{"ARP for IPv6", UnicastARP(mac1, ours6, mac2, 0), ""},
		{"NA for IPv4", UnicastNA(mac1, ours4, false, mac2, peer6, 0), ""},
		{"NS to IPv4", UnicastNS(mac1, ours6, mac2, peer4, 0), ""},
		{"NA for nothing", UnicastNA(mac1, netip.Addr{}, false, mac2, peer6, 0), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, hex.EncodeToString(c.got)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if c.got != nil {
				checkND(t, c.got)
			}
		})
	}
}

// checkND fails unless the checksum of an ND message is right.
func checkND(t testing.TB, b []byte) {
	t.Helper()
	var h Headers
	Parse(b, &h)
	if h.Protocol != ND {
		return
	}
	src, _ := netip.AddrFromSlice(b[h.L3+8 : h.L3+24])
	dst, _ := netip.AddrFromSlice(b[h.L3+24 : h.L3+40])
	m := b[h.L4 : h.L3+40+int(binary.BigEndian.Uint16(b[h.L3+4:]))]
	if s := slowSum(append(slowPseudo(src, dst, ProtoICMPv6, len(m)), m...)); s != 0xffff {
		t.Errorf("message sums to %#x with its pseudo-header", s)
	}
}

func TestReaddress(t *testing.T) {
	const ns = "87000000" + "00000000" + hexPeer6
	for _, c := range []struct {
		name     string
		in, want []byte // readdressed from mac2 to mac3
	}{
		{"ARP reply", unhex(t, "020000000001"+"020000000002"+"0806"+"0001080006040002"+"020000000002"+"0a090001"+
			"020000000001"+"0a090002"),
			unhex(t, "020000000001"+"020000000003"+"0806"+"0001080006040002"+"020000000003"+"0a090001"+"020000000001"+
				"0a090002")},
		{"gratuitous ARP reply", UnicastARP(mac2, ours4, Broadcast, 9), UnicastARP(mac3, ours4, Broadcast, 9)},
		{"ARP on another's behalf", unhex(t, "020000000001"+"020000000002"+"0806"+"0001080006040002"+"020000000009"+
			"0a090001"+"020000000001"+"0a090002"),
			unhex(t, "020000000001"+"020000000003"+"0806"+"0001080006040002"+"020000000009"+"0a090001"+"020000000001"+
				"0a090002")},
		{"NA", UnicastNA(mac2, ours6, true, mac1, peer6, 0), UnicastNA(mac3, ours6, true, mac1, peer6, 0)},
		{"NS in a VLAN", UnicastNS(mac2, ours6, mac1, peer6, 5), UnicastNS(mac3, ours6, mac1, peer6, 5)},
		{"no option", nd(t, "", ns), func() []byte { b := nd(t, "", ns); mac3.Put(b, 6); return b }()},
		{"another's option", nd(t, "", ns+"0101020000000009"),
			func() []byte { b := nd(t, "", ns+"0101020000000009"); mac3.Put(b, 6); return b }()},
		{"twice", nd(t, "", ns+"0101020000000002"+"0101020000000002"), func() []byte {
			b := nd(t, "", ns+"0101020000000003"+"0101020000000003")
			mac3.Put(b, 6)
			return b
		}()},
		{"a nonce that looks like it", nd(t, "", ns+"0e01020000000002"),
			func() []byte { b := nd(t, "", ns+"0e01020000000002"); mac3.Put(b, 6); return b }()},
		{"not ours", UnicastNA(mac1, ours6, true, mac1, peer6, 0), UnicastNA(mac1, ours6, true, mac1, peer6, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bytes.Clone(c.in)
			var n Neighbour
			if !ParseNeighbour(b, &n) {
				t.Fatal("not taken")
			}
			n.Readdress(b, mac2, mac3)
			if d := cmp.Diff(hex.EncodeToString(c.want), hex.EncodeToString(b)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			checkND(t, b)
		})
	}
}

func TestNeighboursDoNotAllocate(t *testing.T) {
	frames := [][]byte{UnicastARP(mac2, ours4, mac1, 3), UnicastNA(mac2, ours6, true, mac1, peer6, 0), {1, 2, 3}}
	var n Neighbour
	if got := testing.AllocsPerRun(100, func() {
		for _, b := range frames {
			if ParseNeighbour(b, &n) {
				n.Readdress(b, mac2, mac2)
			}
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// Whatever comes in, nothing panics; and a frame that is taken says after Readdress what it said before, but for
// the address.
func FuzzParseNeighbour(f *testing.F) {
	f.Add(UnicastARP(mac2, ours4, mac1, 3))
	f.Add(UnicastNA(mac2, ours6, true, mac1, peer6, 0))
	f.Add(UnicastNS(mac2, ours6, mac1, peer6, 4094))
	f.Add(nd(f, "88a8000181000002", "86000000"+"4000070800000000"+"00000000"+"0101020000000002"+"05010000000005dc"))
	f.Add(nd(f, "", "89000000"+"00000000"+hexPeer6+hexOurs6+"0201020000000002"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var n, again Neighbour
		b := bytes.Clone(in)
		if !ParseNeighbour(b, &n) {
			return
		}
		if n.Src == 0 {
			return // none, as an address that is missing
		}
		if !bytes.Equal(b, in) {
			t.Fatal("parsing changed the frame")
		}
		n.Readdress(b, n.Src, mac3)
		if !ParseNeighbour(b, &again) {
			t.Fatalf("not taken after Readdress: %x", b)
		}
		want := n
		for _, p := range []*MAC{&want.Src, &want.Sender, &want.Target} {
			if *p == n.Src {
				*p = mac3
			}
		}
		if want != again {
			t.Errorf("%+v became %+v", n, again)
		}
		if n.Op > ARPReply && (n.Sender == n.Src || n.Target == n.Src) && n.Src != mac3 {
			var h Headers
			if Parse(b, &h); h.L4 == h.L3+40 {
				checkND(t, b)
			}
		}
	})
}
