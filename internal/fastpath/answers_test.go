// SPDX-License-Identifier: MIT

package fastpath

import (
	"bytes"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
	"nicteam/team"
)

// arpAnswer is the reply to an ARP probe.
func arpAnswer(dst, src frame.MAC) []byte {
	b := stack(make([]byte, 46), ether(dst, src, frame.TypeARP))
	copy(b[14:], []byte{0, 1, 8, 0, 6, 4, 0, 2})
	src.Put(b, 22)
	copy(b[28:], []byte{10, 9, 0, 2})
	dst.Put(b, 32)
	return b
}

func probeFrame(dst, src frame.MAC) []byte {
	return stack(append([]byte(frame.ProbeMagic), make([]byte, 50)...), ether(dst, src, frame.TypeProbe))
}

// advertisement is a neighbour advertisement.
func advertisement(dst, src frame.MAC) []byte {
	b := stack(make([]byte, 24), ether(dst, src, frame.TypeIPv6), ipv6(frame.ProtoICMPv6))
	b[21], b[54] = 255, 136
	return b
}

// While programs move the frames, answers to link watches and probe frames still come to the control loop, by a standby
// member too, and only what is for the adapter gets there.
func TestAnswersComeToControl(t *testing.T) {
	g := newRig(t, 2)
	pl := g.plan(spread.RuleSingle)
	pl.Active, pl.Distributing, pl.Collecting, pl.Multicast = 0, 1, 1, 1
	labtest.Must(t, g.path.Apply(pl))
	labtest.Must(t, g.path.Engage())
	peers := []*nic.Socket{g.peerSocket(0), g.peerSocket(1)}
	next := func() []byte {
		for timeout := time.After(labtest.Patience); ; {
			select {
			case c := <-g.path.Control():
				if c.Kind == team.ControlFrame {
					return c.Frame
				}
			case <-timeout:
				t.Fatal("no frame came")
			}
		}
	}
	received := func() (n uint64) {
		var c team.Counters
		g.path.Counters(&c)
		for id := range 2 {
			for _, p := range c.Members[id].RX {
				n += p.Frames
			}
		}
		return n
	}
	for id, p := range peers {
		for _, b := range [][]byte{
			arpAnswer(memberMAC(id), peerMAC), advertisement(memberMAC(id), peerMAC), probeFrame(memberMAC(id),
				peerMAC),
			probeFrame(memberMAC(id), memberMAC(1-id)), probeFrame(frame.Broadcast, peerMAC),
		} {
			labtest.Must(t, p.SendControl(b))
			if got := next(); !bytes.Equal(got, b) {
				t.Errorf("member %d: %x, want %x", id, got, b)
			}
		}
	}
	// What is for the watches alone is counted by both members, the advertisement by the active one.
	const want = 2*(3+1) + 1
	labtest.Eventually(t, "all are counted", func() bool { return received() >= want })
	if n := received(); n != want {
		t.Errorf("%d frames were received", n)
	}
}

// The totals of unicast frames go on whoever moves the frames.
func TestMovedGoesOn(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSingle)))
	peer, host := g.peerSocket(0), g.socketOn(g.host, "team0")
	in := stack(make([]byte, 46), ether(adapterMAC, peerMAC, 0x88b6))
	out := stack(make([]byte, 46), ether(peerMAC, adapterMAC, 0x88b6))
	toAll := stack(make([]byte, 46), ether(frame.Broadcast, peerMAC, 0x88b6))
	moved := func() (m team.Moved) {
		g.path.Moved(&m)
		return m
	}
	want := moved()
	for i, step := range []func() error{func() error { return nil }, g.path.Engage, g.path.Disengage, g.path.Engage} {
		labtest.Must(t, step())
		if got := moved(); got != want {
			t.Errorf("after step %d: %+v, want %+v", i, got[0], want[0])
		}
		for range 3 {
			labtest.Must(t, peer.SendControl(toAll))
			labtest.Must(t, peer.SendControl(in))
			labtest.Must(t, host.SendControl(out))
		}
		want[0].RX += 3
		want[0].TX += 3
		labtest.Eventually(t, "all are counted", func() bool { return moved() == want })
	}
}

// socketOn is a socket on a NIC of a host.
func (g *rig) socketOn(h *lab.Host, name string) (s *nic.Socket) {
	g.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(g, err)
	labtest.Must(g, h.Do(func() (err error) {
		s, err = nic.Open(nic.Options{Name: name, Index: l.Attrs().Index, MAC: frame.MACFrom(l.Attrs().HardwareAddr)})
		return err
	}))
	g.Cleanup(func() { s.Close() })
	return s
}
