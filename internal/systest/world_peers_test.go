// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// A simulatedPeer is another host on the switch.
type simulatedPeer struct {
	*lab.Host
	MAC      frame.MAC
	IP4, IP6 netip.Addr
}

// simulatePeers adds hosts to the switch: 10.9.0.11, fd09::11 and so on.
func (w *world) simulatePeers(n int) []*simulatedPeer {
	w.t.Helper()
	var all []*simulatedPeer
	for i := 11; i < 11+n; i++ {
		p := &simulatedPeer{Host: labtest.Host(w.t, fmt.Sprintf("n%d", i)),
			IP4: netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}), IP6: netip.MustParseAddr(fmt.Sprintf("fd09::%d", i))}
		labtest.Cable(w.t, p.Host, "eth0", w.sw, fmt.Sprintf("n%d", i), lab.CableOptions{})
		labtest.Must(w.t, p.SetAddr("eth0", p.IP4.String()+"/24", p.IP6.String()+"/64"))
		p.MAC = macOf(link(w.t, p.Host, "eth0").HardwareAddr)
		all = append(all, p)
	}
	return all
}

// peerStreams are streams, one from each simulated peer to an address of box.
type peerStreams struct {
	w       *world
	of      []*simulatedPeer
	streams []*lab.Running
}

// streamFromPeers starts a stream of rate frames/s from each peer.
func (w *world) streamFromPeers(of []*simulatedPeer, to netip.Addr, rate int) *peerStreams {
	w.t.Helper()
	c := &peerStreams{w: w, of: of}
	for _, p := range of {
		c.streams = append(c.streams, labtest.Start(w.t, lab.Stream{From: p.Host, To: w.box, Address: to, Flows: 1,
			Rate: rate}))
	}
	return c
}

// members returns, for each peer, the NIC to whose MAC its next frames come, "" if that changed meanwhile.
func (c *peerStreams) members() []string {
	c.w.t.Helper()
	const frames = 20
	before := make([]map[string]uint64, len(c.of))
	for i, p := range c.of {
		before[i] = c.w.tap.framesFrom(p.MAC)
	}
	list := make([]string, len(c.of))
	for i, p := range c.of {
		by := map[string]uint64{}
		labtest.Eventually(c.w.t, fmt.Sprintf("%d frames from %s", frames, p.Name), func() bool {
			var sum uint64
			for nic, n := range c.w.tap.framesFrom(p.MAC) {
				by[nic] = n - before[i][nic]
				sum += by[nic]
			}
			return sum >= frames
		})
		for nic, n := range by {
			if n >= frames-1 {
				list[i] = nic
			}
		}
	}
	return list
}

// awaitSteered waits until the frames of each peer come by the member that `peers` names. It returns the number of
// peers by member.
func (c *peerStreams) awaitSteered(within time.Duration, what string, to netip.Addr) map[string]int {
	c.w.t.Helper()
	for end := time.Now().Add(within); ; {
		list := c.w.peers().Peers
		by, wrong := map[string]int{}, []string{}
		for i, nic := range c.members() {
			by[nic]++
			if p := peerWith(list, c.of[i].MAC, to); p == nil || p.Member != nic {
				wrong = append(wrong, fmt.Sprintf("%s comes by %q and peers says %+v", c.of[i].Name, nic, p))
			}
		}
		if len(wrong) == 0 {
			return by
		}
		if time.Now().After(end) {
			c.w.t.Fatalf("%s: not within %v: %s", what, within, strings.Join(wrong, "\n"))
		}
	}
}

// stop ends all streams. No frame may be duplicated, and at most lost of them lost.
func (c *peerStreams) stop(lost uint64) {
	c.w.t.Helper()
	for i, r := range c.streams {
		got, err := r.Stop()
		labtest.Must(c.w.t, err)
		if got.Duplicated != 0 || got.Corrupt != 0 || got.Lost > lost {
			c.w.t.Errorf("from %s: %v", c.of[i].Name, got)
		}
	}
}

// peerWith returns the entry of a peer that talks to an address of ours, nil if there is none. In IPv6 a peer may be
// listed by any of its addresses.
func peerWith(list []api.Peer, mac frame.MAC, ours netip.Addr) *api.Peer {
	for i := range list {
		if list[i].MAC == mac.String() && list[i].Ours == ours.String() {
			return &list[i]
		}
	}
	return nil
}

// membersUsed returns the members that sent at least so many frames while f ran.
func (w *world) membersUsed(frames uint64, f func()) []string {
	w.t.Helper()
	before := w.status()
	f()
	by, _ := w.sharesSent(before, inFrames)
	maps.DeleteFunc(by, func(_ string, n float64) bool { return n < float64(frames) })
	return slices.Sorted(maps.Keys(by))
}

// awaitLearnt waits until the switch has each member's MAC in its forwarding database, at that member's port only. A
// member that has just returned announces its MAC several times, since the port may not forward at first.
func (w *world) awaitLearnt() {
	w.t.Helper()
	told := ""
	labtest.Eventually(w.t, "the switch knows each address at its own port", func() bool {
		wrong := w.misplacedPeers()
		if wrong != "" && wrong != told {
			w.t.Log(wrong)
		}
		told = wrong
		return wrong == ""
	})
}

// misplacedPeers names a member whose MAC the switch has learned at the port of another, "" if there is none.
func (w *world) misplacedPeers() string {
	w.t.Helper()
	list, err := w.sw.Handle().NeighList(0, unix.AF_BRIDGE)
	labtest.Must(w.t, err)
	for nic, wire := range w.wires {
		port := link(w.t, w.sw.Host, wire.B.Name).Index
		for _, n := range list {
			if n.State&unix.NUD_PERMANENT == 0 && macOf(n.HardwareAddr) == macOf(wire.A.MAC) && n.LinkIndex != port {
				return fmt.Sprintf("the switch has the address of %s at port %d, its own is %d", nic, n.LinkIndex, port)
			}
		}
	}
	return ""
}

// streamTo returns a stream of eight flows.
func streamTo(from, to *lab.Host, address netip.Addr, rate int) lab.Stream {
	return lab.Stream{From: from, To: to, Address: address, Rate: rate}
}

// stopped returns a function that stops a stream and formats its report.
func stopped(r *lab.Running) func() (string, bool) {
	return func() (string, bool) {
		got, err := r.Stop()
		return fmt.Sprint(got, err), err == nil && got.Lost+got.Refused+got.Duplicated+got.Corrupt == 0 &&
			got.Reordered <= 1+reorderBound(got)
	}
}

// addSecondHost makes a team on peer, too: eth0 and more NICs become its team0, with its addresses.
func (w *world) addSecondHost(n int) {
	w.t.Helper()
	names := []string{"eth0"}
	for i := 1; i < n; i++ {
		nic := fmt.Sprintf("eth%d", i)
		labtest.Wire(w.t, w.peer, nic, w.sw, fmt.Sprintf("twin%d", i), lab.WireOptions{})
		names = append(names, nic)
	}
	if r := run(w.t, w.peer, nil, append([]string{"create", teamName}, names...)...); r.Code != 0 {
		w.t.Fatalf("create in peer: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}

// memoryOf returns the resident memory of a process in bytes.
func memoryOf(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	labtest.Must(t, err)
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatalf("no VmRSS of %d", pid)
	return 0
}
