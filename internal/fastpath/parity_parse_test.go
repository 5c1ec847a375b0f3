// SPDX-License-Identifier: MIT

package fastpath

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// found is all that the programs and package frame both say of a frame.
type found struct {
	Dst, Src        frame.MAC
	VLANs           uint8
	TCI, EtherType  uint16
	L3, L4, Payload int
	IPProto         uint8
	Fragment        bool
	Protocol        frame.Protocol
	Frames, Bytes   int
	Hash            [4]uint64 // by policy
	Heard           int
	Report, Relays  bool
	VLAN            uint16 // of a station
	Quoted          bool
	NICs            bool // the NIC's own business, too
}

// goFinds is what Go finds.
func goFinds(b []byte, salt uint64, gso uint16) (f found, ok bool) {
	var h, q frame.Headers
	if !frame.Parse(b, &h) {
		return f, false
	}
	f = found{Dst: h.Dst, Src: h.Src, VLANs: h.VLANs, TCI: h.TCI, EtherType: h.EtherType, L3: h.L3, L4: h.L4,
		Payload: h.Payload,
		IPProto: h.IPProto, Fragment: h.Fragment, Protocol: h.Protocol}
	var v frame.Vnet
	if gso != 0 {
		v.GSOType, v.GSOSize = frame.GSOTCPv4, gso
	}
	f.Frames, f.Bytes = frame.WireCount(v, &h, len(b))
	if gso != 0 && h.Payload == 0 {
		f.Frames, f.Bytes = 1, len(b) // no hint of where the headers end
	}
	for p := range f.Hash {
		f.Hash[p] = spread.Hash{Policy: spread.HashPolicy(p), Salt: salt}.Of(&h, b)
	}
	f.Heard = spread.RxClass(&h, b)
	f.VLAN = h.Station(h.Src, b).VLAN()
	f.Report = spread.GroupReport(&h, b)
	f.Relays = h.Protocol == frame.ARP || h.Protocol == frame.ND || h.EtherType == frame.TypeSlow ||
		h.EtherType == frame.TypeProbe
	ip := h.EtherType == frame.TypeIPv4 || h.EtherType == frame.TypeIPv6
	f.NICs = h.VLANs <= 1 && f.VLAN&0xfff == 0 &&
		(!ip || h.Protocol == frame.UDP && h.L4 != 0 &&
			slices.Contains([]uint16{68, 546}, binary.BigEndian.Uint16(b[h.L4+2:])))
	f.Quoted = h.L4 != 0 && frame.ParseQuoted(b, h.L4+8, &q)
	return f, true
}

// isOrdinary says whether the programs read a frame of so many octets directly. aside: the kernel has the outer tag
// aside.
func isOrdinary(f *found, octets int, aside bool) bool {
	vlans, length, tcpLength := uint8(0), map[uint16]int{frame.TypeIPv4: 20, frame.TypeIPv6: 40}[f.EtherType], 20
	if aside {
		vlans = 1
	}
	return f.VLANs == vlans && f.L3 != 0 && f.L4 == f.L3+length && !f.Fragment && octets >= f.L4+tcpLength &&
		(f.IPProto == frame.ProtoTCP || f.IPProto == frame.ProtoUDP)
}

// known is one of the two ways' findings; the frame has shift octets before its headers that the way does not see.
func known(k *probeKnown, quoted bool, shift int) found {
	h := &k.Headers
	at := func(off uint32) int {
		if off == 0 {
			return 0
		}
		return int(off) + shift
	}
	return found{Dst: frame.MAC(h.Dst), Src: frame.MAC(h.Src), VLANs: h.Vlans, TCI: h.Tci, EtherType: h.Ethertype,
		L3: at(h.L3), L4: at(h.L4), Payload: at(h.Payload), IPProto: h.IpProto, Fragment: h.Fragment != 0,
		Protocol: frame.Protocol(h.Protocol), Frames: int(h.Frames), Bytes: int(h.Bytes), Hash: k.Hash,
		Heard: int(k.RxClass), Report: k.Report != 0, Relays: k.Relays != 0, Quoted: quoted, VLAN: h.Vlan,
		NICs: k.Nics != 0}
}

// compareFindings compares what Go finds with what both ways of the programs do. Where aside is set the kernel has the
// outer tag aside, as drivers do that take it out in hardware.
func (p *prober) compareFindings(b []byte, salt uint64, gso uint16, aside bool, want *found, wantOK bool) error {
	q, sent, shift := probeQuestion{Salt: salt}, b, 0
	if aside {
		q.Tpid, q.Tci = uint32(binary.BigEndian.Uint16(b[12:])), uint32(binary.BigEndian.Uint16(b[14:]))
		sent, shift = slices.Concat(b[:12], b[16:]), frame.TagLen
	}
	got := p.ask(sent, q, skBuff{GSOSize: uint32(gso)})
	if ok := got.Parsed != 0; ok != wantOK {
		return fmt.Errorf("frame %x: parsed %v, Go says %v", b, ok, wantOK)
	}
	differ := func(way string, got found) error {
		if diff := cmp.Diff(*want, got); diff != "" {
			return fmt.Errorf("frame %x, tag aside %v, super-frame of %d (-Go +program, %s):\n%s", b, aside, gso, way,
				diff)
		}
		return nil
	}
	if !wantOK {
		return nil
	}
	if err := differ("any frame", known(&got.Any, got.Quoted != 0, shift)); err != nil {
		return err
	}
	if is := got.IsOrdinary != 0; is != isOrdinary(want, len(b), aside) {
		return fmt.Errorf("frame %x, tag aside %v: the programs read it directly: %v", b, aside, is)
	} else if !is {
		return nil
	}
	got.Ordinary.Headers.Type = got.Any.Headers.Type // which is not asked of TCP and UDP
	if got.Any.Headers != got.Ordinary.Headers {
		return fmt.Errorf("frame %x: %+v, read directly %+v", b, got.Any.Headers, got.Ordinary.Headers)
	}
	return differ("an ordinary frame", known(&got.Ordinary, got.Quoted != 0, shift))
}

// compare compares the two on a frame, with the outer tag aside as well.
func (p *prober) compare(b []byte, salt uint64, gso uint16) error {
	want, wantOK := goFinds(b, salt, gso)
	tagged := len(b) >= frame.EtherLen+frame.TagLen &&
		(binary.BigEndian.Uint16(b[12:]) == frame.TypeVLAN || binary.BigEndian.Uint16(b[12:]) == frame.TypeQinQ)
	if len(b) < least+frame.TagLen {
		gso = 0 // to be cut off it must be none
		want, wantOK = goFinds(b, salt, gso)
	}
	for _, aside := range []bool{false, true} {
		if aside && !tagged {
			continue
		}
		if err := p.compareFindings(b, salt, gso, aside, &want, wantOK); err != nil {
			return err
		}
	}
	return nil
}

func TestProgramsParseAsGo(t *testing.T) {
	serial(t)
	p := newProber(t)
	seen := map[frame.Protocol]bool{}
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			var h frame.Headers
			frame.Parse(v.b, &h)
			seen[h.Protocol] = true
			for _, gso := range []uint16{0, 1, 7, 1448} {
				labtest.Check(t, p.compare(v.b, 7, gso))
			}
			for n := frame.EtherLen; n < len(v.b); n++ {
				if err := p.compare(v.b[:n], 7, 0); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	for k := range frame.Protocol(frame.Protocols) {
		if !seen[k] {
			t.Errorf("no vector of %v", k)
		}
	}
}

// Of what is sent the kernel has counted already. Where the super-frame is in a tunnel nobody else could.
func TestSuperFrameInATunnel(t *testing.T) {
	p := newProber(t)
	for _, v := range vectors() {
		if v.name != "GRE" {
			continue
		}
		for _, q := range []probeQuestion{{}, {Tpid: frame.TypeVLAN, Tci: 7}} {
			tag := 0
			if q.Tpid != 0 {
				tag = frame.TagLen
			}
			n := len(v.b)
			got := p.ask(v.b, q, skBuff{GSOSize: 20, GSOSegs: 3, WireLen: uint32(n + 2*54)})
			if h := got.Any.Headers; h.Frames != 3 || int(h.Bytes) != n+2*54+3*tag {
				t.Errorf("%d frames of %d bytes, want 3 of %d", h.Frames, h.Bytes, n+2*54+3*tag)
			}
		}
	}
}

// What fuzzing has found in other packages.
func TestProgramsParseTheCorporaAsGo(t *testing.T) {
	serial(t)
	p := newProber(t)
	files := 0
	for _, dir := range []string{"../frame/testdata/fuzz", "../../modes/testdata/fuzz", "../nic/testdata/fuzz"} {
		paths, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
		for _, path := range paths {
			text, err := os.ReadFile(path)
			labtest.Must(t, err)
			for line := range strings.SplitSeq(string(text), "\n") {
				quoted, isBytes := strings.CutPrefix(strings.TrimSuffix(line, ")"), "[]byte(")
				if !isBytes {
					continue
				}
				s, err := strconv.Unquote(quoted)
				labtest.Must(t, err)
				files++
				for _, b := range [][]byte{[]byte(s), []byte(s)[min(len(s), frame.VnetLen):]} {
					if len(b) >= frame.EtherLen && len(b) < 3000 {
						labtest.Check(t, p.compare(b, 7, 0))
					}
				}
			}
		}
	}
	t.Logf("%d inputs", files)
}

func TestProgramsParseAnythingAsGo(t *testing.T) {
	serial(t)
	p := newProber(t)
	macs := []frame.MAC{adapterMAC, peerMAC, groupMAC, frame.Broadcast, 0}
	rapid.Check(t, func(t *rapid.T) {
		for range 50 {
			b := drawFrame(t, macs, macs)
			if err := p.compare(b, rapid.Uint64().Draw(t, "salt"),
				rapid.SampledFrom([]uint16{0, 0, 1, 100, 1448, 65535}).Draw(t, "gso")); err != nil {
				t.Fatal(err)
			}
		}
	})
}
