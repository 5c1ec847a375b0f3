// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestARPProbe(t *testing.T) {
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"broadcast", ARPProbe(mac2, peer4, 0, 0), "ffffffffffff" + "020000000002" + "0806" + "0001080006040001" +
			"020000000002" + "00000000" + "000000000000" + "0a090002"},
		{"unicast in a VLAN", ARPProbe(mac2, peer4, mac3, 20), "020000000003" + "020000000002" + "81000014" + "0806" +
			"0001080006040001" + "020000000002" + "00000000" + "000000000000" + "0a090002"},
	} {
		if len(c.got) != minFrame || hex.EncodeToString(c.got[:len(c.want)/2]) != c.want {
			t.Errorf("%s: %x, want %s", c.name, c.got, c.want)
		}
	}
	if ARPProbe(mac2, peer6, 0, 0) != nil || Solicitation(mac2, peer4, 0, 0) != nil {
		t.Error("asked for an address of the other family")
	}
}

func TestSolicitation(t *testing.T) {
	from := netip.MustParseAddr("fe80::6e69:200:0:2")
	group := netip.MustParseAddr("ff02::1:ff00:2")
	for _, c := range []struct {
		name string
		peer MAC
		vlan uint16
		dst  MAC
		to   netip.Addr
	}{
		{"group", 0, 0, 0x3333ff000002, group},
		{"unicast in a VLAN", mac3, 20, mac3, peer6},
	} {
		b := Solicitation(mac2, peer6, c.peer, c.vlan)
		want := Neighbour{Op: NeighbourSolicitation, Dst: c.dst, Src: mac2, VLAN: c.vlan, Plain: true, Sender: mac2,
			From: from, To: c.to, About: peer6}
		var got Neighbour
		if !ParseNeighbour(b, &got) {
			t.Fatalf("%s: not a solicitation: %x", c.name, b)
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Neighbour{}), cmp.Comparer(sameAddr)); d != "" {
			t.Errorf("%s: -want +got\n%s", c.name, d)
		}
		if !got.ChecksumValid(b) {
			t.Errorf("%s: checksum is wrong", c.name)
		}
		b[len(b)-1] ^= 1
		if got.ChecksumValid(b) {
			t.Errorf("%s: a wrong checksum is valid", c.name)
		}
	}
}

func sameAddr(a, b netip.Addr) bool { return a == b }

// TestAskingAddress: no stack has an address of that form by itself.
func TestAskingAddress(t *testing.T) {
	if got, want := AskingAddress(0x34567890abcd), netip.MustParseAddr("fe80::6e69:3456:7890:abcd"); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestProbe(t *testing.T) {
	want := Probe{Op: ProbeHello, Dst: mac2, Src: mac3, Team: 0x0102030405060708, From: 3, To: 4, Seq: 5, Sent: -6}
	b := want.Frame()
	const wire = "020000000002" + "020000000003" + "88b5" + "6e69637465616d" + "01" + "0102030405060708" + "0003" +
		"0004" + "00000005" + "fffffffffffffffa" + "01"
	if len(b) != minFrame || hex.EncodeToString(b[:len(wire)/2]) != wire {
		t.Errorf("got %x, want %s", b, wire)
	}
	var got Probe
	if !ParseProbe(b, &got) || got != want {
		t.Errorf("read %+v, want %+v", got, want)
	}
	tagged := unhex(t, wire[:24]+"8100a000"+wire[24:])
	if !ParseProbe(tagged, &got) || got != want {
		t.Errorf("with a priority tag: %+v", got)
	}
	for name, in := range map[string]string{
		"in a VLAN":       wire[:24] + "81000001" + wire[24:],
		"in two":          wire[:24] + "8100000081000000" + wire[24:],
		"another type":    wire[:24] + "88b6" + wire[28:],
		"another magic":   wire[:28] + "6e69637465616e" + wire[42:],
		"another version": wire[:42] + "02" + wire[44:],
		"no operation":    wire[:len(wire)-2] + "00",
		"another one":     wire[:len(wire)-2] + "04",
		"cut off":         wire[:len(wire)-2],
		"runt":            wire[:26],
	} {
		if ParseProbe(unhex(t, in), &got) || got != (Probe{}) {
			t.Errorf("%s: read %+v", name, got)
		}
	}
}

// FuzzParseProbe: what is read is written the same.
func FuzzParseProbe(f *testing.F) {
	p := Probe{Op: ProbeAnswer, Dst: mac2, Src: mac3, Team: 7, From: 3, Seq: 5, Sent: 6}
	f.Add(p.Frame())
	f.Add(unhex(f, "020000000002"+"020000000003"+"8100a000"+"88b5"+"6e69637465616d"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got, again Probe
		if ParseProbe(b, &got) && (!ParseProbe(got.Frame(), &again) || again != got) {
			t.Errorf("%x: %+v, then %+v", b, got, again)
		}
	})
}

// FuzzChecksumValid: a message that was parsed has a checksum that can be read.
func FuzzChecksumValid(f *testing.F) {
	f.Add(Solicitation(mac2, peer6, 0, 0))
	f.Add(ARPProbe(mac2, peer4, 0, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		var n Neighbour
		if !ParseNeighbour(b, &n) {
			return
		}
		valid := n.ChecksumValid(b)
		if n.Op > ARPReply && valid {
			b[n.at+2] ^= 0x55
			if n.ChecksumValid(b) {
				t.Errorf("%x: a wrong checksum is valid", b)
			}
		}
	})
}
