// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// TestGroupsGap pulls the cable by which groups are received while peer sends to one, and counts lost frames: the
// filter of the member that takes over must have had the group before. Nothing is lost when the cable is back. It
// judges only with -soak.
func TestGroupsGap(t *testing.T) {
	t.Parallel()
	const (
		every = time.Second / 2500 // the team looks at carriers most often from 1000 frames a second on
		most  = 5 * time.Millisecond
	)
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		for _, mode := range []string{"elb", "active-backup"} {
			w := newWorld(t, worldOptions{NICs: 3}.on(path))
			w.create(nics(3), "--mode", mode, "--damping", "off")
			w.listenTo("udp6", "ff02::fb", "5353")
			inside, outside := w.raw(w.box, teamName), w.raw(w.peer, "eth0")
			b := testEthernet(frame.MAC(0x3333000000fb), macOf(outside.MAC))
			var sent, seen uint64
			send := func() {
				sent++
				binary.BigEndian.PutUint64(b[14:], sent)
				outside.send(b)
				<-time.After(every)
			}
			// exchange sends for a duration, and on until a last frame has arrived, and returns the number of frames
			// that did not arrive.
			exchange := func(d time.Duration) (lost uint64) {
				t.Helper()
				first := sent + 1
				for end := time.Now().Add(d); time.Now().Before(end); {
					send()
				}
				arrived := uint64(0)
				arrives := func() bool {
					for got := inside.receive(); got != nil; got = inside.receive() {
						if frame.MACAt(got, 6) == macOf(outside.MAC) && binary.BigEndian.Uint16(got[12:]) == 0x88b5 {
							if seen = binary.BigEndian.Uint64(got[14:]); seen >= first {
								arrived++
							}
						}
					}
					return seen == sent
				}
				labtest.Eventually(t, "the last frame for the group", func() bool {
					if arrives() {
						return true
					}
					send() // the last one may be lost
					return arrives()
				})
				return sent - first + 1 - arrived
			}
			labtest.Eventually(t, "frames for a group", func() bool { return exchange(20*time.Millisecond) == 0 })
			var gaps []time.Duration
			var back uint64
			for range rounds() {
				active := w.status().Active
				done := make(chan error, 1)
				go func() { <-time.After(20 * time.Millisecond); done <- w.wires[active].Cut() }()
				gaps = append(gaps, time.Duration(exchange(300*time.Millisecond))*every)
				labtest.Must(t, <-done)
				labtest.Must(t, w.wires[active].Mend())
				w.await(active+" back", func(s *api.Status) bool { return memberOf(t, s, active).State != "down" })
				back += exchange(100 * time.Millisecond)
			}
			slices.Sort(gaps)
			t.Logf("%s: without the group after a cut, sorted: %v; frames lost when the cable was back: %d", mode,
				gaps, back)
			if median := gaps[len(gaps)/2]; *soak && (median > most || back > 0) {
				t.Errorf("%s: median %v, want at most %v; %d frames lost when the cable was back", mode, median, most,
					back)
			}
		}
	})
}

// rounds is how often a test repeats what -soak judges.
func rounds() int {
	if *soak {
		return 10
	}
	return 1
}

// TestRouterForTenLifetimes has a router advertise itself and a prefix for ten of their lifetimes: neither may expire.
// Without -soak it only waits for the second advertisement.
func TestRouterForTenLifetimes(t *testing.T) {
	t.Parallel()
	const lifetime = 2 // s
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{NoAddress: true}.on(path))
		labtest.Must(t, w.box.SetAddr("eth1", box6.String()+"/64"))
		w.create(nics(2))
		labtest.Eventually(t, "address and route of a router", func() bool {
			w.advertise("fd0a::/64", lifetime)
			return w.hasRoute("fd0a::/64")
		})
		lifetimes := 10
		if !*soak {
			lifetimes = 1
		}
		cut := false
		for begin := time.Now(); time.Since(begin) < time.Duration(lifetimes*lifetime)*time.Second; {
			w.advertise("fd0a::/64", lifetime)
			<-time.After(200 * time.Millisecond)
			if *soak && !w.hasRoute("fd0a::/64") {
				t.Fatalf("route or address has run out after %v", time.Since(begin))
			}
			if !cut && time.Since(begin) > time.Duration(lifetimes*lifetime)*time.Second/2 {
				cut = true
				labtest.Must(t, w.wires[w.status().Active].Cut())
			}
		}
		labtest.Eventually(t, "address and route are still there", func() bool {
			w.advertise("fd0a::/64", lifetime)
			return w.hasRoute("fd0a::/64")
		})
	})
}
