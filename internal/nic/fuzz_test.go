// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// auxdata is control data as the kernel writes it.
func auxdata(status uint32, tci, tpid uint16) []byte {
	b := make([]byte, 40)
	binary.NativeEndian.PutUint64(b, 36)
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_PACKET)
	binary.NativeEndian.PutUint32(b[12:], unix.PACKET_AUXDATA)
	binary.NativeEndian.PutUint32(b[16:], status)
	binary.NativeEndian.PutUint16(b[32:], tci)
	binary.NativeEndian.PutUint16(b[34:], tpid)
	return b
}

func TestOuterTag(t *testing.T) {
	const valid, both = unix.TP_STATUS_VLAN_VALID, unix.TP_STATUS_VLAN_VALID | unix.TP_STATUS_VLAN_TPID_VALID
	other := make([]byte, 24) // another message before
	binary.NativeEndian.PutUint64(other, 20)
	tests := []struct {
		name      string
		in        []byte
		tpid, tci uint16
		ok        bool
	}{
		{name: "empty"},
		{name: "no tag", in: auxdata(0, 7, 0x8100)},
		{name: "802.1Q", in: auxdata(both, 0xa064, 0x8100), tpid: 0x8100, tci: 0xa064, ok: true},
		{name: "802.1ad", in: auxdata(both, 7, 0x88a8), tpid: 0x88a8, tci: 7, ok: true},
		{name: "without TPID", in: auxdata(valid, 7, 0), tpid: 0x8100, tci: 7, ok: true},
		{name: "second message", in: append(other, auxdata(both, 7, 0x8100)...), tpid: 0x8100, tci: 7, ok: true},
		{name: "cut off", in: auxdata(both, 7, 0x8100)[:35]},
		{name: "length too small", in: append(make([]byte, 16), auxdata(both, 7, 0x8100)...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tpid, tci, ok := outerTag(tt.in)
			if tpid != tt.tpid || tci != tt.tci || ok != tt.ok {
				t.Errorf("outerTag = %#x %#x %v, want %#x %#x %v", tpid, tci, ok, tt.tpid, tt.tci, tt.ok)
			}
		})
	}
}

func FuzzOuterTag(f *testing.F) {
	f.Add(auxdata(unix.TP_STATUS_VLAN_VALID, 7, 0x8100))
	f.Add(append(make([]byte, 24), auxdata(0, 7, 0x8100)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if tpid, tci, ok := outerTag(b); !ok && (tpid != 0 || tci != 0) {
			t.Errorf("no tag, but %#x %#x", tpid, tci)
		}
	})
}

// FuzzFrame gives any octets as a received message: the virtio header and the frame are the kernel's, but
// a header that does not fit must not end in a panic nor in a frame outside of its buffer.
func FuzzFrame(f *testing.F) {
	f.Add(superFrame(3000, 1000)[frame.VnetRoom:], auxdata(unix.TP_STATUS_VLAN_VALID, 7, 0x8100))
	f.Add(withHeader(testFrame(1))[frame.VnetRoom:],
		auxdata(unix.TP_STATUS_VLAN_VALID|unix.TP_STATUS_VLAN_TPID_VALID, 7, 0x88a8))
	f.Add(withHeader(testFrame(1))[frame.VnetRoom:][:20], []byte{})
	s := new(Socket)
	s.in.hold()
	s.in.n = 1
	f.Fuzz(func(t *testing.T, b, control []byte) {
		m := &s.in.msgs[0]
		m.n = uint32(copy(s.in.buffers[bufferStart:bufferLen], b))
		m.SetControllen(copy(s.in.control[:controlLen], control))
		got := s.Frame(0)
		if got == nil {
			return
		}
		if n := len(got) - frame.VnetRoom - int(m.n); n != 0 && n != frame.TagLen {
			t.Fatalf("%d octets became %d", m.n, len(got))
		}
		var h frame.Headers
		var v frame.Vnet
		v.Unmarshal(got)
		if frame.Parse(got[frame.VnetLen:], &h) && NormalizeVnet(got, &v, &h) {
			var again frame.Vnet
			again.Unmarshal(got)
			if again != v || int(v.HdrLen) > len(got)-frame.VnetLen {
				t.Errorf("prepared header %+v, written %+v, frame of %d octets", v, again, len(got)-frame.VnetLen)
			}
			if v.GSO() != frame.GSONone && (v.HdrLen == 0 || v.GSOSize == 0) {
				t.Errorf("super-frame prepared with %+v", v)
			}
		}
	})
}

func TestPrepare(t *testing.T) {
	tests := []struct {
		name   string
		change func(v *frame.Vnet, b []byte)
		ok     bool
		hdrLen uint16
	}{
		{name: "as it is", ok: true, hdrLen: 54},
		{name: "whole linear part", change: func(v *frame.Vnet, _ []byte) { v.HdrLen = 3000 }, ok: true, hdrLen: 54},
		{name: "left out", change: func(v *frame.Vnet, _ []byte) { v.HdrLen = 0 }, ok: true, hdrLen: 54},
		{name: "with ECN", change: func(v *frame.Vnet, _ []byte) { v.GSOType |= frame.GSOECN }, ok: true, hdrLen: 54},
		{name: "fragmentation offload", change: func(v *frame.Vnet, _ []byte) { v.GSOType = frame.GSOUDP }},
		{name: "unknown type", change: func(v *frame.Vnet, _ []byte) { v.GSOType = 0x60 }},
		{name: "other family", change: func(v *frame.Vnet, _ []byte) { v.GSOType = frame.GSOTCPv6 }},
		{name: "other protocol", change: func(v *frame.Vnet, _ []byte) { v.GSOType = frame.GSOUDPL4 }},
		{name: "no size", change: func(v *frame.Vnet, _ []byte) { v.GSOSize = 0 }},
		{name: "tunnel", change: func(_ *frame.Vnet, b []byte) { b[14+9] = frame.ProtoUDP }},
		{name: "checksum outside", change: func(v *frame.Vnet, _ []byte) { v.CsumStart = 60000 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := superFrame(3000, 1000)
			var v frame.Vnet
			v.Unmarshal(b)
			if tt.change != nil {
				tt.change(&v, b[frame.VnetLen:])
			}
			v.Marshal(b)
			var h frame.Headers
			frame.Parse(b[frame.VnetLen:], &h)
			if ok := NormalizeVnet(b, &v, &h); ok != tt.ok {
				t.Fatalf("Prepare = %v, want %v", ok, tt.ok)
			}
			var got frame.Vnet
			got.Unmarshal(b)
			if tt.ok && got.HdrLen != tt.hdrLen {
				t.Errorf("header length %d, want %d", got.HdrLen, tt.hdrLen)
			}
		})
	}
}
