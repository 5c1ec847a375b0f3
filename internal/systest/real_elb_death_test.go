// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// setNeighbour writes a permanent neighbour entry: neither ARP nor ND changes it.
func setNeighbour(t testing.TB, h *lab.Host, address netip.Addr, at net.HardwareAddr) {
	t.Helper()
	labtest.Must(t, h.Handle().NeighSet(&netlink.Neigh{LinkIndex: link(t, h, "eth0").Index, IP: address.AsSlice(),
		HardwareAddr: at, State: netlink.NUD_PERMANENT}))
}

// TestELBAdoptsADeadMembersAddress has peers that know box by one MAC for good. The member with that MAC dies, then the
// one that took it over: what the peers send arrives nevertheless, and by the member itself once it is back.
func TestELBAdoptsADeadMembersAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range pathsAndSwitches("relay") {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 4, Flooding: tt.flooding}.on(tt.path))
			heard := w.tapWires()
			w.create(nics(4))
			setNeighbour(t, w.peer, box4, w.wires["eth2"].A.MAC)
			setNeighbour(t, w.peer, box6, w.wires["eth2"].A.MAC)
			tr := w.traffic(lab.Stream{Rate: 3000})
			six := labtest.Start(t, streamTo(w.peer, w.box, box6, 500))
			tr.awaitFrames(1500) // by now the team knows a switch that floods

			cut := time.Now()
			labtest.Must(t, w.wires["eth2"].Cut())
			s := w.awaitMember("eth2", "down")
			out, in := tr.gap(cut)
			checkGap(t, "without eth2", out, in)
			before := w.status()
			heir := ""
			labtest.Eventually(t, "500 frames", func() bool {
				total, now := uint64(0), w.status()
				heir = ""
				for _, m := range now.Members {
					total += m.RX.Frames - memberOf(t, before, m.Name).RX.Frames
				}
				for _, m := range now.Members {
					if m.RX.Frames-memberOf(t, before, m.Name).RX.Frames >= total*4/5 {
						heir = m.Name
					}
				}
				return total >= 500
			})
			if heir == "" || heir == "eth2" {
				t.Fatalf("no heir of eth2 in %+v", s.Members)
			}

			cut = time.Now()
			labtest.Must(t, w.wires[heir].Cut())
			w.awaitMember(heir, "down")
			out, in = tr.gap(cut)
			checkGap(t, "after "+heir+", the heir, has died too", out, in)
			seen := six.Received() + 100
			labtest.Eventually(t, "IPv6 frames", func() bool { return six.Received() >= seen })

			labtest.Must(t, w.wires["eth2"].Mend())
			labtest.Must(t, w.wires[heir].Mend())
			w.awaitMember("eth2", "up")
			w.awaitMember(heir, "up")
			labtest.Eventually(t, "eth2 to have its address again", func() bool {
				before := w.member("eth2").RX.Frames
				tr.awaitFrames(300)
				return w.member("eth2").RX.Frames-before >= 290
			})
			o, i := tr.stop()
			if o.Duplicated+o.Corrupt+i.Corrupt != 0 || i.Duplicated > i.Sent/100 {
				t.Error("frames doubled or corrupt")
			}
			got, err := six.Stop()
			labtest.Must(t, err)
			t.Logf("IPv6: %v", got)
			heard.checkOwnMACs()
			if !tt.flooding {
				w.awaitLearnt()
			}
		})
	}
}

// TestELBSteersAwayFromTheDead has eight peers that send ARP and ND requests as hosts do: after the death of a member
// they come by the others, and by all when it is back.
func TestELBSteersAwayFromTheDead(t *testing.T) {
	parallelWithTraffic(t)
	w := newWorld(t, worldOptions{NICs: 4})
	w.tapWires()
	w.create(nics(4))
	c := w.streamFromPeers(w.simulatePeers(6), box4, 300)
	labtest.Eventually(t, "a spread over more than two members", func() bool { return distinct(c.members()) > 2 })
	labtest.Must(t, w.wires["eth3"].Cut())
	w.awaitMember("eth3", "down")
	if by := c.awaitSteered(labtest.Patience, "without eth3", box4); len(by) != 3 {
		t.Errorf("without eth3: %v", by)
	}
	labtest.Must(t, w.wires["eth3"].Mend())
	w.awaitMember("eth3", "up")
	labtest.Eventually(t, "peers on eth3 again", func() bool { return slices.Contains(c.members(), "eth3") })
	c.stop(100)
}

func distinct(list []string) int {
	slices.Sort(list)
	return len(slices.Compact(list))
}

// TestELBWithoutTheMACDonor removes, under traffic, the member whose MAC the adapter has, and adds it again. A peer
// knows box by that MAC for good.
func TestELBWithoutTheMACDonor(t *testing.T) {
	t.Parallel()
	for _, tt := range switches {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 3, Flooding: tt.flooding})
			w.create(nics(3))
			before, conn := w.identity(), w.startEcho()
			adapter := link(t, w.box, teamName).HardwareAddr
			donor := ""
			for _, nic := range nics(3) {
				if w.wires[nic].A.MAC.String() == adapter.String() {
					donor = nic
				}
			}
			if donor == "" {
				t.Fatalf("the adapter's address %v is no member's", adapter)
			}
			setNeighbour(t, w.peer, box4, adapter)
			tr := w.traffic(lab.Stream{Rate: 2000})
			w.nicteam("remove", teamName, donor)
			tr.awaitFrames(500)
			conn.check("without " + donor)
			w.nicteam("add", teamName, donor)
			w.awaitMember(donor, "up")
			tr.awaitFrames(500)
			conn.check("with " + donor + " again")
			out, in := tr.stop()
			if out.Lost+out.Duplicated+out.Corrupt != 0 || in.Duplicated+in.Corrupt > in.Sent/100 ||
				in.Lost > in.Sent/20 {
				t.Error("frames lost, doubled or corrupt")
			}
			if after := w.identity(); after != before {
				t.Errorf("adapter is %s, was %s", after, before)
			}
		})
	}
}

// duplicateAddresses returns the addresses of a device for which detection found a duplicate.
func duplicateAddresses(t testing.TB, h *lab.Host, device string) (bad []string, done bool) {
	t.Helper()
	l, err := h.Handle().LinkByName(device)
	labtest.Must(t, err)
	list, err := h.Handle().AddrList(l, unix.AF_INET6)
	labtest.Must(t, err)
	done = len(list) > 0
	for _, a := range list {
		if a.Flags&unix.IFA_F_DADFAILED != 0 {
			bad = append(bad, fmt.Sprint(a.IPNet))
		}
		done = done && a.Flags&unix.IFA_F_TENTATIVE == 0
	}
	return bad, done
}
