// SPDX-License-Identifier: MIT

package systest

import (
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestOddNICs runs elb on NICs with the weaknesses of real ones: a host resolves box by IPv6 and IPv4, and connections
// go on, also when a cable is pulled and plugged in.
func TestOddNICs(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, tt := range []struct {
			name string
			nic  lab.Hardware
		}{
			{"no room for all groups", lab.Hardware{Slots: 3}},
			{"virtual functions with one MAC each", lab.Hardware{OneMAC: true, NoPromisc: true}},
			{"slow to come up", lab.Hardware{LateCarrier: 200 * time.Millisecond, LosesFirst: 50 * time.Millisecond,
				SpeedUnknown: 300 * time.Millisecond}},
			{"no offloads", lab.Hardware{NoSegmentation: true, NoCoalescing: true, NoTagInsertion: true}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				parallel(t)
				w := newWorld(t, worldOptions{NICs: 3, Hardware: tt.nic, Asks: true}.on(path))
				w.create(nics(3))
				open := w.startEcho()
				mdns := w.listenTo("udp6", "ff02::fb", "5353")
				reached := func(when string) {
					t.Helper()
					open.check(when)
					w.checkResolved(when, box6)
					w.checkResolved(when, box4)
					mdns.checkReceives(w, when)
				}
				reached("at first")
				for _, nic := range []string{w.status().Active, "eth3"} {
					labtest.Must(t, w.wires[nic].Cut())
					w.awaitMember(nic, "down")
					reached(nic + " cut")
					labtest.Must(t, w.wires[nic].Mend())
					w.awaitMember(nic, "up")
					reached(nic + " mended")
				}
			})
		}
	})
}

// TestTaggedFramesPastAVLANFilter: NICs that filter VLANs pass tagged frames while the adapter is promiscuous, as with
// a VLAN-aware bridge on it.
func TestTaggedFramesPastAVLANFilter(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		parallel(t)
		w := newWorld(t, worldOptions{Hardware: lab.Hardware{FilterVLANs: true}}.on(path))
		w.create(nics(2))
		inside, outside := w.raw(w.box, teamName), w.raw(w.peer, "eth0")
		b := testEthernet(macOf(inside.MAC), macOf(outside.MAC))
		tagged := append(append(append([]byte(nil), b[:12]...), 0x81, 0, 0, 7), b[12:]...)
		labtest.Run(t, w.box, "ip", "link", "set", teamName, "promisc", "on")
		labtest.Eventually(t, "a tagged frame", func() bool {
			outside.send(tagged)
			for got := inside.receive(); got != nil; got = inside.receive() {
				if len(got) > 17 && got[12] == 0x81 && got[15] == 7 && got[16] == 0x88 && got[17] == 0xb5 {
					return true
				}
			}
			return false
		})
	})
}
