// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChecksumVectors(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     uint16
	}{
		{"RFC 1071 clause 3", "0001f203f4f5f6f7", 0x220d},
		{"IPv4 header", "4500007300004000401100" + "00c0a80001c0a800c7", 0xb861},
		{"odd", "010203", ^uint16(0x0402)},
		{"empty", "", 0xffff},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Checksum(unhex(t, c.in)); got != c.want {
				t.Errorf("got %#04x, want %#04x", got, c.want)
			}
		})
	}
}

func TestSumIsTheSlowSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff}), 0, 300).Draw(t, "b")
		cut := rapid.IntRange(0, len(b)/2).Draw(t, "cut") * 2
		if got, want := Fold(Sum(Sum(0, b[:cut]), b[cut:])), slowSum(b); got != want {
			t.Errorf("%x cut at %d: got %#x, want %#x", b, cut, got, want)
		}
	})
}

func TestFoldNeverLosesCarry(t *testing.T) {
	for _, s := range []uint64{0, 1, 0xffff, 0x10000, 0xffff_ffff, 0x1_0000_0000, 1<<63 + 0xffff, ^uint64(0),
		0xffff_0000_ffff_ffff} {
		want := s % 0xffff
		got := uint64(Fold(s))
		if got%0xffff != want || (s != 0) != (got != 0) {
			t.Errorf("Fold(%#x) = %#x, want ≡ %#x", s, got, want)
		}
	}
}

func TestFinishChecksum(t *testing.T) {
	v4, w4 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	v6, w6 := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	rapid.Check(t, func(t *rapid.T) {
		p := packet{src: v4, dst: w4, partial: true, proto: ProtoTCP,
			payload: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload")}
		if rapid.Bool().Draw(t, "v6") {
			p.src, p.dst = v6, w6
		}
		offset := uint16(16)
		if rapid.Bool().Draw(t, "udp") {
			p.proto, offset = ProtoUDP, 6
		}
		b, l3, l4, _ := p.build()
		if err := FinishChecksum(Vnet{Flags: NeedsCsum, CsumStart: uint16(l4), CsumOffset: offset}, b); err != nil {
			t.Fatal(err)
		}
		verifyRapid(t, b, l3, l4)
	})
}

// A UDP checksum that comes out as zero is sent as 0xffff: zero says that there is none.
func TestFinishChecksumZero(t *testing.T) {
	p := packet{src: netip.MustParseAddr("10.0.0.1"), dst: netip.MustParseAddr("10.0.0.2"), proto: ProtoUDP,
		partial: true, payload: []byte{0, 0}}
	b, l3, l4, at := p.build()
	s := ^slowSum(b[l4:]) // make the whole sum up to 0xffff
	b[at], b[at+1] = byte(s>>8), byte(s)
	if err := FinishChecksum(Vnet{Flags: NeedsCsum, CsumStart: uint16(l4), CsumOffset: 6}, b); err != nil {
		t.Fatal(err)
	}
	if b[l4+6] != 0xff || b[l4+7] != 0xff {
		t.Errorf("checksum %x, want ffff", b[l4+6:l4+8])
	}
	verify(t, b, l3, l4)
}

func TestFinishChecksumOutOfFrame(t *testing.T) {
	b := make([]byte, 60)
	for _, v := range []Vnet{
		{Flags: NeedsCsum, CsumStart: 59, CsumOffset: 0},
		{Flags: NeedsCsum, CsumStart: 65535, CsumOffset: 65535},
		{Flags: NeedsCsum, CsumStart: 34, CsumOffset: 25},
		{Flags: NeedsCsum, CsumStart: 0, CsumOffset: 0},
	} {
		if err := FinishChecksum(v, b); !errors.Is(err, ErrChecksum) {
			t.Errorf("%+v: got %v, want %v", v, err, ErrChecksum)
		}
	}
	if err := FinishChecksum(Vnet{CsumStart: 65535}, b); err != nil {
		t.Errorf("without the flag: %v", err)
	}
}

func BenchmarkSum1500(b *testing.B) {
	p := make([]byte, 1500)
	b.SetBytes(1500)
	for b.Loop() {
		Checksum(p)
	}
}
