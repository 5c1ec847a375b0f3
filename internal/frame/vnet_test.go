// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestVnetLayout(t *testing.T) {
	v := Vnet{Flags: NeedsCsum, GSOType: GSOTCPv4 | GSOECN, HdrLen: 0x0102, GSOSize: 0x0304, CsumStart: 0x0506,
		CsumOffset: 0x0708}
	b := make([]byte, VnetLen)
	v.Marshal(b)
	if want := []byte{1, 0x81, 2, 1, 4, 3, 6, 5, 8, 7}; !bytes.Equal(b[VnetRoom:], want) {
		t.Errorf("got %x, want %x", b[VnetRoom:], want)
	}
	if v.GSO() != GSOTCPv4 {
		t.Errorf("GSO() = %d", v.GSO())
	}
	v.Unmarshal(b[:VnetLen-1])
	if v != (Vnet{}) {
		t.Errorf("short input gave %+v", v)
	}
}

func FuzzVnet(f *testing.F) {
	f.Add(append(make([]byte, VnetRoom), 1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0), 3000)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		var v Vnet
		v.Unmarshal(b)
		if len(b) >= VnetLen {
			out := make([]byte, VnetLen)
			v.Marshal(out)
			if d := cmp.Diff(b[VnetRoom:VnetLen], out[VnetRoom:]); d != "" {
				t.Fatalf("-read +written\n%s", d)
			}
		}
		if n < 0 || n > 1<<17 {
			return
		}
		frames, octets := WireCount(v, &Headers{}, n)
		if frames < 1 || octets < n {
			t.Fatalf("%+v, %d octets: %d frames, %d octets", v, n, frames, octets)
		}
	})
}

func TestWireCount(t *testing.T) {
	h := Headers{Payload: 66}
	for _, c := range []struct {
		name          string
		v             Vnet
		n             int
		frames, bytes int
	}{
		{"single frame", Vnet{}, 1514, 1, 1514},
		{"two full segments", Vnet{GSOType: GSOTCPv4, GSOSize: 1448}, 66 + 2896, 2, 2896 + 132},
		{"one octet more", Vnet{GSOType: GSOTCPv4, GSOSize: 1448}, 66 + 2897, 3, 2897 + 198},
		{"ECN", Vnet{GSOType: GSOTCPv4 | GSOECN, GSOSize: 1448}, 66 + 2896, 2, 2896 + 132},
		{"less than a segment", Vnet{GSOType: GSOTCPv6, GSOSize: 1448}, 100, 1, 100},
		{"no payload", Vnet{GSOType: GSOTCPv6, GSOSize: 1448}, 66, 1, 66},
		{"size zero", Vnet{GSOType: GSOTCPv6}, 5000, 1, 5000},
		{"the kernel's hdr_len is not believed", Vnet{GSOType: GSOTCPv4, GSOSize: 1448, HdrLen: 1514}, 66 + 2896,
			2, 2896 + 132},
	} {
		t.Run(c.name, func(t *testing.T) {
			frames, bytes := WireCount(c.v, &h, c.n)
			if frames != c.frames || bytes != c.bytes {
				t.Errorf("got %d frames, %d bytes; want %d, %d", frames, bytes, c.frames, c.bytes)
			}
		})
	}
}

func TestInsertVLAN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := packet{src: netip.MustParseAddr("10.0.0.1"), dst: netip.MustParseAddr("10.0.0.2"), proto: ProtoTCP,
			partial: true,
			payload: rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload")}
		if rapid.Bool().Draw(t, "inner tag") {
			p.tags = []uint16{7}
		}
		b, _, l4, at := p.build()
		v := Vnet{GSOType: GSOTCPv4, GSOSize: 10, HdrLen: uint16(at), Flags: NeedsCsum, CsumStart: uint16(l4),
			CsumOffset: 16}
		const room = 6
		buf := make([]byte, room+VnetLen, room+VnetLen+len(b))
		v.Marshal(buf[room:])
		buf = append(buf, b...)
		to, ok := InsertVLAN(buf, room, TypeQinQ, 0xe123)
		if !ok || to != room-TagLen {
			t.Fatalf("got %d, %v", to, ok)
		}
		var got Vnet
		got.Unmarshal(buf[to:])
		want := v
		want.CsumStart += 4
		want.HdrLen += 4
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		tagged := append(append(append([]byte{}, b[:12]...), 0x88, 0xa8, 0xe1, 0x23), b[12:]...)
		if !bytes.Equal(buf[to+VnetLen:], tagged) {
			t.Errorf("got %x, want %x", buf[to+VnetLen:], tagged)
		}
		if err := FinishChecksum(got, buf[to+VnetLen:]); err != nil {
			t.Error(err)
		}
		verifyRapid(t, buf[to+VnetLen:], l4+4-20, l4+4)
	})
	if _, ok := InsertVLAN(make([]byte, 100), 3, TypeVLAN, 1); ok {
		t.Error("no room, yet inserted")
	}
	if _, ok := InsertVLAN(make([]byte, 4+VnetLen+13), 4, TypeVLAN, 1); ok {
		t.Error("a runt got a tag")
	}
}
