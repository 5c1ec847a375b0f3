// SPDX-License-Identifier: MIT

package nic

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// tunnelFrame is [header][TCP of n octets in VXLAN], to be cut at size, as a TAP gives it. Without check the outer
// header has no checksum.
func tunnelFrame(n, size int, check bool) []byte {
	inner := superFrame(n, size)[frame.VnetLen:]
	b := make([]byte, 50, 50+len(inner))
	copy(b, inner[:14])
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, frame.ProtoUDP
	binary.BigEndian.PutUint16(ip[2:], uint16(36+len(inner)))
	copy(ip[12:], []byte{198, 51, 100, 1, 198, 51, 100, 2})
	binary.BigEndian.PutUint16(ip[10:], frame.Checksum(ip[:20]))
	udp := ip[20:]
	binary.BigEndian.PutUint16(udp, 50000)
	binary.BigEndian.PutUint16(udp[2:], 4789)
	binary.BigEndian.PutUint16(udp[4:], uint16(16+len(inner)))
	if check {
		binary.BigEndian.PutUint16(udp[6:], frame.Fold(frame.PseudoSum(b, 14, frame.ProtoUDP, 16+len(inner))))
	}
	udp[8] = 8 // VXLAN: there is an identifier
	b = append(b, inner...)
	v := frame.Vnet{Flags: frame.NeedsCsum, GSOType: frame.GSOTCPv4 | 0x20, HdrLen: 104, GSOSize: uint16(size),
		CsumStart: 84, CsumOffset: 16}
	out := withHeader(b)
	v.Marshal(out)
	return out
}

// segmentsOf is what [header][frame] is on the wire.
func segmentsOf(t *testing.T, b []byte) (all []string) {
	t.Helper()
	var v frame.Vnet
	v.Unmarshal(b)
	labtest.Must(t, frame.Segment(v, b[frame.VnetLen:], func(seg []byte) bool {
		all = append(all, fmt.Sprintf("%x", seg))
		return true
	}))
	return all
}

// No packet socket takes a tunnel's super-frame: it leaves as UDP super-frames of the tunnel's datagrams where the NIC
// has these, and arrives as what the sender's kernel would have made of it.
func TestTunnelSuperFrameIsSent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		uso     Offload
		check   bool
		refuses bool
		frames  int // that the peer sees
		usoNow  bool
	}{
		{name: "a group", check: true, frames: 1, usoNow: true},
		{name: "no outer checksum", frames: 43, usoNow: true},
		{name: "NIC without USO", uso: OffloadOff, check: true, frames: 43},
		{name: "NIC that refuses", check: true, refuses: true, frames: 43},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPair(t, Options{USO: tt.uso})
			if tt.refuses {
				p.a.out.sendmmsg = refuseGSO(unix.EINVAL)
			}
			b := tunnelFrame(60000, 1398, tt.check)
			p.a.Queue(withHeader(testFrame(0)))
			p.a.Queue(b)
			p.a.Queue(withHeader(testFrame(1)))
			if f := p.a.Flush(); len(f) != 0 {
				t.Fatal(f)
			}
			var got []string
			frames := collect(t, p.b, tt.frames+2)
			for _, f := range frames[1 : tt.frames+1] {
				got = append(got, segmentsOf(t, f)...)
			}
			if diff := cmp.Diff(segmentsOf(t, b), got); diff != "" {
				t.Errorf("segments (-want +got):\n%s", diff)
			}
			if p.a.USO() != tt.usoNow || !p.a.TSO() || p.a.Stats().Segmented != 1 {
				t.Errorf("USO %v, TSO %v, %d segmented", p.a.USO(), p.a.TSO(), p.a.Stats().Segmented)
			}
		})
	}
}
