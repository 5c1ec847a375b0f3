// SPDX-License-Identifier: MIT

package fastpath

import (
	"bytes"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// goReceives is what the relay does with a frame that member id has received: see member.choose there. guests are the
// stations that the adapter sent from, at some time that long ago.
func goReceives(
	u *relay.ActivePlan, id int, b []byte, gso uint16, guests []frame.Station, ago time.Duration,
) (o outcome) {
	f, _ := goFinds(b, 0, gso)
	m := &o.Counts.members[id]
	drop := func(why team.Drop) outcome {
		o.Verdict = verdictShot
		if f.NICs {
			o.Verdict, o.Frame = verdictNext, slices.Clone(b)
		}
		m.RXDrop[why] += uint64(f.Frames)
		return o
	}
	switch {
	case f.Relays:
		o.Verdict, o.Frame = verdictNext, slices.Clone(b)
		return o
	case u.IsOwn(f.Src):
		return drop(team.DropReflected)
	}
	src := frame.StationOf(f.Src, f.VLAN)
	lately := func(s frame.Station, most time.Duration) bool { return ago < most && slices.Contains(guests, s) }
	if slices.Contains(u.Stations, src) && !lately(src, relay.MovedAfter) {
		o.Elsewhere = src
	}
	if lately(src, relay.RecentTime) {
		return drop(team.DropReflected)
	}
	whose, why := u.Accept(id, f.Dst, lately(frame.StationOf(f.Dst, f.VLAN), relay.RecentTime))
	if whose == relay.ForNobody {
		if u.IsFlooded(id, f.Dst) {
			m.Flooded += uint64(f.Frames)
		}
		return drop(why)
	}
	o.Verdict, o.Frame = verdictRedirect, slices.Clone(b)
	if f.NICs {
		o.Verdict = verdictNext // as it came; the adapter gets a copy
	}
	if whose == relay.ForUs {
		if !f.NICs {
			u.Adapter.Put(o.Frame, 0)
		}
		if u.PerMember {
			o.Heard = map[int]uint64{f.Heard: uint64(f.Bytes)}
		}
	}
	m.RX[f.Protocol] = frame.Count{Bytes: uint64(f.Bytes), Frames: uint64(f.Frames)}
	if !f.Dst.Multicast() {
		o.Unicast[id].RX = uint64(f.Frames)
	}
	return o
}

func compareOutcomes(want, got outcome) string {
	if want.Verdict == got.Verdict && want.Counts == got.Counts && want.Elsewhere == got.Elsewhere &&
		want.Octets == got.Octets && want.Unicast == got.Unicast && bytes.Equal(want.Frame, got.Frame) &&
		maps.Equal(want.Heard, got.Heard) {
		return "" // most of the time, and much faster
	}
	return cmp.Diff(want, got, cmp.AllowUnexported(counts{}))
}

func TestProgramReceivesAsTheRelay(t *testing.T) {
	serial(t)
	b := newBed(t)
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		c := drawCast(t)
		pl := drawPlan(t, c, spread.RuleSlots)
		if err := b.apply(pl, c); err != nil {
			t.Fatal(err)
		}
		u := relay.NewActivePlan(pl)
		macs := append(c.all(), frame.Broadcast, groupMAC)
		var ids []int
		for set := c.members; set != 0; set = set.Without(set.First()) {
			ids = append(ids, set.First())
		}
		for range 40 {
			f := drawTagged(t, drawFrame(t, macs, macs))
			if len(f) < least {
				f = slices.Concat(f, make([]byte, least-len(f)))
			}
			var guests []frame.Station
			if rapid.IntRange(0, 2).Draw(t, "guests") == 0 {
				for _, m := range rapid.SliceOfN(rapid.SampledFrom(c.all()), 1, 3).Draw(t, "guest") {
					if m != 0 && m != adapterMAC {
						guests = append(guests, frame.StationOf(m,
							rapid.SampledFrom([]uint16{0, 0, 7}).Draw(t, "VLAN")))
					}
				}
			}
			id := rapid.SampledFrom(ids).Draw(t, "by")
			gso := rapid.SampledFrom([]uint16{0, 0, 100, 1448}).Draw(t, "gso")
			if err := b.receives(id); err != nil {
				t.Fatal(err)
			}
			if err := b.sentBy(pl, guests); err != nil {
				t.Fatal(err)
			}
			wait := rapid.SampledFrom([]int64{0, 0, 4e8 - 1, 4e8, 1e9 - 1, 1e9}).Draw(t, "wait")
			b.now += wait
			want := goReceives(u, id, f, gso, guests, time.Duration(wait))
			got, err := b.run(b.Receive, f, gso)
			if err != nil {
				t.Fatal(err)
			}
			if got.Elsewhere, err = b.movedStation(pl); err != nil {
				t.Fatal(err)
			}
			if diff := compareOutcomes(want, got); diff != "" {
				t.Fatalf("frame %x by member %d, stations %v, plan %+v\n(-relay +program):\n%s", f, id, guests,
					pl, diff)
			}
			note(seen, &want, id)
		}
	})
	for _, what := range []string{"next", "taken", "astray", "heard", "elsewhere", "not-ours", "standby", "reflected"} {
		if seen[what] < 10 {
			t.Errorf("%d frames %s", seen[what], what)
		}
	}
}

// note notes what was met.
func note(seen map[string]int, o *outcome, id int) {
	m := &o.Counts.members[id]
	switch o.Verdict {
	case verdictNext:
		seen["next"]++
	case verdictRedirect:
		seen["taken"]++
	}
	if o.Elsewhere != 0 {
		seen["elsewhere"]++
	}
	if m.Flooded != 0 {
		seen["astray"]++
	}
	if o.Heard != nil {
		seen["heard"]++
	}
	for d, n := range m.RXDrop {
		if n != 0 {
			seen[team.Drop(d).String()]++
		}
	}
}

// What the filter decides for a frame and what the program does with it go together: one of the relay and the program
// moves it, or the gate is shut and neither does.
func TestFilterAndReceiveAgree(t *testing.T) {
	b := newBed(t)
	onOneProcessor(t)
	c := &cast{members: 1}
	c.mac[0] = memberMAC(0)
	pl := &spread.Plan{Rule: spread.RuleSingle, Active: 0, Next: -1, Adapter: adapterMAC,
		TeamMACs:     []frame.MAC{adapterMAC, memberMAC(0)},
		Distributing: 1, Collecting: 1, Multicast: 1}
	if err := b.apply(pl, c); err != nil {
		t.Fatal(err)
	}
	if err := b.receives(0); err != nil {
		t.Fatal(err)
	}
	b.now = 1 << 50
	const unit = 1 << relay.GateUnit
	until := func(in int64) uint32 { return relay.GateUntil | uint32((b.now+in)>>relay.GateUnit) }
	for _, v := range vectors() {
		f := slices.Clone(v.b)
		memberMAC(0).Put(f, 0)
		peerMAC.Put(f, 6)
		if len(f) < least {
			f = slices.Concat(f, make([]byte, least-len(f)))
		}
		found, _ := goFinds(f, 0, 0)
		for gate, want := range map[uint32]struct {
			takes   bool
			verdict int
			after   uint32
		}{
			relay.GateSlow: {true, verdictNext, relay.GateSlow},
			relay.GateHold: {true, verdictNext, relay.GateSlow},
			relay.GateFast: {found.Relays, verdictRedirect, relay.GateFast}, // or next
			relay.GateShut: {false, verdictShot, relay.GateShut},

			until(unit):                     {false, verdictShot, until(unit)},
			until(relay.GateLongest * unit): {false, verdictShot, until(relay.GateLongest * unit)},
			// A frame after that time reopens it, however long after.
			until(0):                              {true, verdictNext, relay.GateSlow},
			until(-unit):                          {true, verdictNext, relay.GateSlow},
			until(-relay.GateLongest * unit):      {true, verdictNext, relay.GateSlow},
			until((relay.GateLongest + 1) * unit): {true, verdictNext, relay.GateSlow},
			until(1 << 30 * unit):                 {true, verdictNext, relay.GateSlow},

			// There is no ring here: what it would get is a drop.
			relay.GateRing:  {false, verdictRedirect, relay.GateRing},
			relay.GateAlone: {false, verdictRedirect, relay.GateAlone},
		} {
			if want.verdict == verdictRedirect && (found.Relays || found.NICs) {
				want.verdict = verdictNext
			}
			b.gates(gate)
			listened, err := b.run(b.RelayFilter, forAFilter(f), 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := listened.Verdict != 0; got != want.takes {
				t.Errorf("%s at gate %d: the relay takes it %v, want %v", v.name, gate, got, want.takes)
			}
			if got := b.control.ReceiveGate[0]; got != want.after {
				t.Errorf("%s at gate %d: now %d, want %d", v.name, gate, got, want.after)
			}
			b.gates(relay.GateFast) // the program must not look again
			got, err := b.run(b.Receive, f, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != want.verdict {
				t.Errorf("%s at gate %d: %d, want %d", v.name, gate, got.Verdict, want.verdict)
			}
		}
	}
}

// forAFilter is a frame for the filter of a socket, which a test gives it without its Ethernet header. A packet socket
// does not.
func forAFilter(f []byte) []byte { return slices.Concat(f[:frame.EtherLen], f) }

// Every frame is moved by one of the two, and what the program moves it leaves only where it is the NIC's, too.
func TestEitherTheRelayOrTheProgram(t *testing.T) {
	b := newBed(t)
	onOneProcessor(t)
	labtest.Must(t, b.receives(0))
	macs := []frame.MAC{adapterMAC, memberMAC(0), peerMAC, groupMAC}
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrame(t, macs, macs)
		if len(f) < least {
			f = slices.Concat(f, make([]byte, least-len(f)))
		}
		listened, err := b.run(b.RelayFilter, forAFilter(f), 0)
		if err != nil {
			t.Fatal(err)
		}
		received, err := b.run(b.Receive, f, 0)
		if err != nil {
			t.Fatal(err)
		}
		of, _ := goFinds(f, 0, 0)
		if taken, left := listened.Verdict != 0, received.Verdict == verdictNext; left != (taken || of.NICs) {
			t.Fatalf("frame %x: the relay has it %v, the program leaves it %v", f, taken, left)
		}
	})
}

// onOneProcessor has the rest of a test run by one thread on one processor, as a frame is received.
func onOneProcessor(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	was, err := onFirstProcessor()
	labtest.Must(t, err)
	t.Cleanup(func() {
		labtest.Check(t, unix.SchedSetaffinity(0, &was))
		runtime.UnlockOSThread()
	})
}

// onFirstProcessor keeps the thread on one of its processors, and returns which they were.
func onFirstProcessor() (was unix.CPUSet, err error) {
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return was, err
	}
	var one unix.CPUSet
	for cpu := 0; one.Count() == 0; cpu++ {
		if was.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	return was, unix.SchedSetaffinity(0, &one)
}
