// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"fmt"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// withTags is b ([header][frame]) with tags, the outer one last.
func withTags(t *testing.T, b []byte, tpids ...uint16) []byte {
	t.Helper()
	for _, tpid := range tpids {
		b = append(make([]byte, frame.TagLen), b...)
		if _, ok := frame.InsertVLAN(b, frame.TagLen, tpid, 100); !ok {
			t.Fatal("no tag")
		}
	}
	return b
}

// A frame that fills the MTU and has more than one tag of 802.1Q is longer than a packet socket takes, but not than a
// NIC does: TCP and UDP are sent, and arrive as they are on the wire.
func TestTagsOnFullFrames(t *testing.T) {
	single := func(n int, finished bool) []byte {
		b := superFrame(n, 0)
		b[frame.VnetRoom+1] = frame.GSONone
		if finished {
			var v frame.Vnet
			v.Unmarshal(b)
			labtest.Must(t, frame.FinishChecksum(v, b[frame.VnetLen:]))
			clear(b[:frame.VnetLen])
		}
		return b
	}
	datagram := func() []byte {
		b := single(1460, true)
		f := b[frame.VnetLen:]
		f[14+9] = frame.ProtoUDP
		clear(f[24:26])
		binary.BigEndian.PutUint16(f[24:], frame.Checksum(f[14:34]))
		binary.BigEndian.PutUint16(f[38:], 1480)
		clear(f[40:42])
		v := frame.Vnet{Flags: frame.NeedsCsum, CsumStart: 34, CsumOffset: 6}
		binary.BigEndian.PutUint16(f[40:], frame.Fold(frame.PseudoSum(f, 14, frame.ProtoUDP, 1480)))
		labtest.Must(t, frame.FinishChecksum(v, f))
		return b
	}
	other := func() []byte {
		b := withHeader(make([]byte, 1514))
		binary.BigEndian.PutUint16(b[frame.VnetLen+12:], testType)
		return b
	}
	ad, qinq := []uint16{frame.TypeQinQ}, []uint16{frame.TypeVLAN, frame.TypeQinQ}
	for _, tt := range []struct {
		name   string
		tso    Offload
		b      []byte
		tags   []uint16
		failed int
	}{
		{name: "TCP, 802.1ad", b: single(1460, false), tags: ad},
		{name: "TCP, two tags", b: single(1460, false), tags: qinq},
		{name: "TCP, finished", b: single(1460, true), tags: qinq},
		{name: "UDP, finished", b: datagram(), tags: qinq},
		{name: "a tunnel's", b: func() []byte {
			b := tunnelFrame(1410, 0, true)
			b[frame.VnetRoom+1] = frame.GSONone
			return b
		}(), tags: qinq},
		{name: "super-frame, cut in software", tso: OffloadOff, b: superFrame(3000, 1460), tags: qinq},
		{name: "another protocol", b: other(), tags: qinq, failed: 1},
		{name: "no tag", b: single(1469, false), failed: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t, Options{TSO: tt.tso})
			// As long as a NIC takes.
			l, err := p.peer.Handle().LinkByName("b")
			labtest.Must(t, err)
			labtest.Must(t, p.peer.Handle().LinkSetMTU(l, 1508))
			b := withTags(t, tt.b, tt.tags...)
			p.a.Queue(withHeader(testFrame(0)))
			p.a.Queue(b)
			p.a.Queue(withHeader(testFrame(1)))
			failed := len(p.a.Flush())
			if failed != tt.failed {
				t.Fatalf("%d failures, want %d", failed, tt.failed)
			}
			if failed > 0 {
				return
			}
			want := segmentsOf(t, b)
			for i, f := range collect(t, p.b, len(want)+2)[1 : len(want)+1] {
				var v frame.Vnet
				if v.Unmarshal(f); v.GSO() != frame.GSONone {
					t.Errorf("frame %d is a super-frame: %+v", i, v)
				}
				labtest.Must(t, frame.FinishChecksum(v, f[frame.VnetLen:]))
				if got := fmt.Sprintf("%x", f[frame.VnetLen:]); got != want[i] {
					t.Errorf("frame %d:\n%s, want\n%s", i, got, want[i])
				}
			}
		})
	}
}
