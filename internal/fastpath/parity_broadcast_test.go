// SPDX-License-Identifier: MIT

package fastpath

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// listenTo returns a socket that gets whatever comes in by a NIC of h.
func listenTo(t *testing.T, h *lab.Host, name string) (fd int) {
	t.Helper()
	labtest.Must(t, h.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		l, err := h.Handle().LinkByName(name)
		if err != nil {
			return err
		}
		wait := unix.NsecToTimeval(int64(labtest.Patience))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: l.Attrs().Index})
	}))
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// A copy leaves by every member. One whose NIC is gone or down loses its own, which is counted there. The last one gets
// the frame itself, which is not sent in a test.
func TestBroadcastCopies(t *testing.T) {
	b := newBed(t)
	h, peer := labtest.Host(t, "host"), labtest.Host(t, "peer")
	pl := &spread.Plan{Rule: spread.RuleBroadcast, Adapter: adapterMAC, Active: -1, Distributing: 0b11011,
		Collecting: 0b11011}
	var copies int
	for id, name := range map[int]string{0: "m0", 1: "m1", 4: "m4"} {
		labtest.Cable(t, h, name, peer, "p"+name[1:], lab.CableOptions{})
		l, err := h.Handle().LinkByName(name)
		labtest.Must(t, err)
		b.links[id] = &team.Link{Index: l.Attrs().Index, MAC: memberMAC(id)}
		if id == 0 {
			copies = listenTo(t, peer, "p0")
		}
	}
	labtest.Must(t, h.Down("m1"))
	b.links[3] = &team.Link{Index: 4711, MAC: memberMAC(3)}
	labtest.Must(t, b.applyPlan(pl, &b.links))
	f := flowsOf(1)[0]
	var o outcome
	labtest.Must(t, h.Do(func() (err error) {
		o, err = b.run(b.Transmit, f, 0)
		return err
	}))
	want := outcome{Verdict: verdictRedirect, Frame: f}
	for id, drop := range map[int]int{0: -1, 1: int(team.DropBacklog), 3: int(team.DropRefused), 4: -1} {
		if drop >= 0 {
			want.Counts.members[id].TXDrop[drop] = 1
			continue
		}
		want.Octets[id] = uint64(len(f))
		want.Unicast[id].TX = 1
		want.Counts.members[id].TX[frame.TCP] = frame.Count{Bytes: uint64(len(f)), Frames: 1}
	}
	if diff := compareOutcomes(want, o); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := make([]byte, 2000)
	for got = got[:14]; frame.MACAt(got, 6) != adapterMAC; { // others are the kernel's own
		got = got[:cap(got)]
		n, err := unix.Read(copies, got)
		labtest.Must(t, err)
		got = got[:n]
	}
	if diff := cmp.Diff(f, got); diff != "" {
		t.Errorf("a copy (-want +got):\n%s", diff)
	}
	// No member distributes.
	labtest.Must(t, b.applyPlan(&spread.Plan{Rule: spread.RuleBroadcast, Adapter: adapterMAC, Active: -1}, &b.links))
	o, err := b.run(b.Transmit, f, 0)
	labtest.Must(t, err)
	if o.Verdict != verdictShot || o.Counts.noMember[team.DropNoMember] != 1 {
		t.Errorf("nobody may send: %d, %d lost", o.Verdict, o.Counts.noMember[team.DropNoMember])
	}
}
