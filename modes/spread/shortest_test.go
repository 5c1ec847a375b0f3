// SPDX-License-Identifier: MIT

package spread

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"

	"pgregory.net/rapid"
)

const (
	us = int64(time.Microsecond)
	ms = int64(time.Millisecond)
)

// shortestPlan is a Plan of RuleShortest for members of these speeds in Mbit/s; a negative one is not known, 0 is no
// member.
func shortestPlan(mbps ...int) *Plan {
	pl := &Plan{Next: -1}
	pl.Rule, pl.PerMember, pl.Adapter, pl.Hash.Salt = RuleShortest, true, frametest.Adapter, 7
	pl.Shortest = &Shortest{Gain: DefaultGain, Skew: DefaultSkew}
	for id, r := range mbps {
		switch {
		case r == 0:
			continue
		case r > 0:
			pl.Shortest.Rates[id] = uint64(r) * 1e6
			pl.Shortest.SpeedKnown = pl.Shortest.SpeedKnown.With(id)
		default:
			pl.Shortest.Rates[id] = uint64(-r) * 1e6
		}
		pl.Weights[id] = MaxShare
		pl.Distributing = pl.Distributing.With(id)
	}
	pl.Active = pl.Distributing.First()
	pl.Collecting = pl.Distributing
	pl.Pins = AssignSlots(&pl.Weights)
	return pl
}

// order has pl move slots, besides what it shares with other Plans.
func order(pl *Plan, moves ...Move) {
	s := *pl.Shortest
	s.Moves = moves
	s.Generation++
	pl.Shortest = &s
}

// parsed is a frame with what Parse finds in it.
type parsed struct {
	b []byte
	h frame.Headers
}

func flowFrame(i int) *parsed {
	p := &parsed{b: frametest.IP{Src: "10.0.0.1", Dst: "10.0.0.2", Proto: 17, SrcPort: uint16(2*i + 1024),
		DstPort: uint16(i >> 15)}.Frame()}
	frame.Parse(p.b, &p.h)
	return p
}

func (f *parsed) pick(p *Picker, pl *Plan, bytes int) int {
	return p.Pick(pl, &f.h, f.b, bytes).First()
}

// slowShortest is the four rules in words, with a record of every frame instead of clocks.
type slowShortest struct {
	flows map[int]*slowFlow
	free  [MaxMembers]float64 // ns, when all has left
}

type slowFlow struct {
	member int
	until  float64
}

func (s *slowShortest) pick(pl *Plan, slot, bytes int, now float64) int {
	takes := func(id int) float64 { return float64(bytes) * 8e9 / float64(pl.Shortest.Rates[id]) }
	begins := func(id int) float64 { return max(s.free[id], now) }
	f := s.flows[slot]
	member := -1
	if f != nil && pl.Distributing.Has(f.member) {
		earliest := begins(f.member)
		for id := range MaxMembers {
			if pl.Distributing.Has(id) {
				earliest = min(earliest, begins(id))
			}
		}
		switch {
		case now < f.until+float64(pl.Shortest.Skew):
			member = f.member
		case now < f.until+1e9 && begins(f.member)-earliest < float64(pl.Shortest.Gain):
			member = f.member
		}
	}
	if member < 0 {
		first := -1
		for id := range MaxMembers {
			if pl.Distributing.Has(id) && (first < 0 || begins(id)+takes(id) < begins(first)+takes(first)) {
				first = id
			}
		}
		same := min(float64(pl.Shortest.Gain), takes(first)/8)
		var rank uint64
		for id := range MaxMembers {
			if pl.Distributing.Has(id) && begins(id)+takes(id) <= begins(first)+takes(first)+same {
				if r := flowRank(slot, id); member < 0 || r > rank {
					member, rank = id, r
				}
			}
		}
	}
	s.free[member] = begins(member) + takes(member)
	s.flows[slot] = &slowFlow{member, s.free[member]}
	return member
}

// The Picker's choices are those of the rules in words. Where the two differ by the rounding of a ns the test goes on
// with what the Picker chose, and that has to be rare.
func TestShortestIsTheSlowOne(t *testing.T) {
	var picks, differ int
	rapid.Check(t, func(t *rapid.T) {
		var speeds []int
		for range rapid.IntRange(1, 5).Draw(t, "members") {
			speeds = append(speeds, rapid.SampledFrom([]int{0, 10, 100, 500, 1000, 10000}).Draw(t, "speed"))
		}
		pl := shortestPlan(speeds...)
		if pl.Distributing == 0 {
			return
		}
		var p Picker
		slow := slowShortest{flows: map[int]*slowFlow{}}
		frames := make([]*parsed, 12)
		for i := range frames {
			frames[i] = flowFrame(i)
		}
		for range rapid.IntRange(1, 300).Draw(t, "frames") {
			p.Now += rapid.SampledFrom([]int64{0, 0, 0, 1, 10 * us, 100 * us, 600 * us, 3 * ms, 2000 * ms}).Draw(t,
				"wait")
			f := rapid.SampledFrom(frames).Draw(t, "flow")
			bytes := rapid.SampledFrom([]int{64, 1514, 65000}).Draw(t, "bytes")
			slot := flowSlot(pl, &f.h, f.b)
			got := f.pick(&p, pl, bytes)
			want := slow.pick(pl, slot, bytes, float64(p.Now))
			picks++
			if got != want {
				differ++
				q := p.Flows().Members
				for id := range q {
					slow.free[id] = float64(q[id].Clock)
				}
				slow.flows[slot] = &slowFlow{got, float64(p.Flows().Slots[slot].Until)}
			}
		}
	})
	if picks == 0 || differ*1000 > picks {
		t.Errorf("%d of %d choices differ", differ, picks)
	}
}

// Nothing overtakes: a flow changes members only when its last frame has left by the clock, and skew is over, as long
// as its member may send. No other member than those that may send is ever used.
func TestShortestNeverOvertakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plans := []*Plan{shortestPlan(100, 500, 1000), shortestPlan(0, 500, 1000), shortestPlan(100, 0, 0, -1000),
			shortestPlan(100, 500, 1000, 10000)}
		pl := plans[0]
		var p Picker
		type last struct {
			id int
			at int64 // its last frame has left
		}
		was := map[int]last{}
		frames := make([]*parsed, 20)
		for i := range frames {
			frames[i] = flowFrame(i)
		}
		for range rapid.IntRange(1, 400).Draw(t, "frames") {
			p.Now += rapid.SampledFrom([]int64{0, 0, 0, 0, 5 * us, 50 * us, 700 * us, 5 * ms}).Draw(t, "wait")
			if rapid.IntRange(0, 40).Draw(t, "another plan") == 0 {
				pl = rapid.SampledFrom(plans).Draw(t, "plan")
			}
			i := rapid.IntRange(0, len(frames)-1).Draw(t, "flow")
			set := p.Pick(pl, &frames[i].h, frames[i].b, 1514)
			if set.Len() != 1 || set&^pl.Distributing != 0 {
				t.Fatalf("by %b of %b", set, pl.Distributing)
			}
			id := set.First()
			if w, ok := was[i]; ok && w.id != id && pl.Distributing.Has(w.id) && p.Now < w.at+int64(pl.Shortest.Skew) {
				t.Fatalf("flow %d went from %d to %d at %d, its last frame leaves at %d", i, w.id, id, p.Now, w.at)
			}
			was[i] = last{id, p.Flows().Members[id].Clock}
			for i, w := range was { // a member that went and came back has an empty queue
				if !pl.Distributing.Has(w.id) {
					delete(was, i)
				}
			}
		}
	})
}

// A team at rest spreads its flows over equal members, each slot by an order of its own.
func TestShortestSpreadsAtRest(t *testing.T) {
	for _, n := range []int{2, 3, 4, 8} {
		speeds := make([]int, n)
		for i := range speeds {
			speeds[i] = 1000 - i // as measured
		}
		pl := shortestPlan(speeds...)
		var p Picker
		var count [MaxMembers]int
		const flows = 8000
		for i := range flows {
			p.Now += 10 * ms
			count[flowFrame(i).pick(&p, pl, 1514)]++
		}
		for id := range n {
			if mean := flows / n; count[id] < mean*9/10 || count[id] > mean*11/10 {
				t.Errorf("%d members: %v", n, count[:n])
				break
			}
		}
	}
}

// Under load bytes follow rates, and every member is used.
func TestShortestFollowsRates(t *testing.T) {
	for _, speeds := range [][]int{{100, 500}, {1000, 1000, 1000}, {50, 100, 1000}} {
		pl := shortestPlan(speeds...)
		var p Picker
		var load [MaxMembers]float64
		total, rate := 0.0, 0.0
		for _, s := range speeds {
			rate += float64(s)
		}
		frames := make([]*parsed, 4000)
		for i := range frames {
			frames[i] = flowFrame(i)
		}
		gap := 0.9 * 1514 * 8 * 1000 / rate // ns: more than they carry
		at := 0.0
		for i := range 200_000 {
			at += gap
			p.Now = int64(at)
			load[frames[i*7919%len(frames)].pick(&p, pl, 1514)] += 1514
			total += 1514
		}
		for id, s := range speeds {
			if got, want := load[id]/total, float64(s)/rate; got < want*0.97 || got > want*1.03 {
				t.Errorf("%v: member %d has %.4f of the bytes, want %.4f", speeds, id, got, want)
			}
		}
	}
}

// A move by order waits for a gap, but not for long; each turn is carried out once, whatever Plans follow.
func TestShortestIsForced(t *testing.T) {
	for _, c := range []struct {
		name string
		gap  int64 // between frames
		from int64 // ms after the order at which the slot may have moved
		to   int64
	}{
		{"it never pauses", 100 * us, 20, 21},
		{"it pauses", 2 * ms, 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := shortestPlan(100, 100) // a frame takes 121 us
			f := flowFrame(5)
			slot := flowSlot(pl, &f.h, f.b)
			var p Picker
			was := f.pick(&p, pl, 1514)
			for range 10 {
				p.Now += 100 * us
				f.pick(&p, pl, 1514)
			}
			ordered := *pl
			order(&ordered, Move{Slot: uint16(slot), To: uint8(1 - was)}, Move{Slot: 9999, To: 7}, Move{Slot: 1, To: 1})
			begin := p.Now
			for f.pick(&p, &ordered, 1514) == was {
				if p.Now += c.gap; p.Now > begin+ms*c.to {
					t.Fatalf("still on %d after %d us", was, (p.Now-begin)/us)
				}
			}
			if p.Now < begin+ms*c.from {
				t.Errorf("moved after %d us", (p.Now-begin)/us)
			}
			s := p.Flows()
			if s.Forced != 1 || s.Slots[slot].Why != FlowForced || s.Slots[slot].Since != p.Now {
				t.Errorf("forced %d, slot %+v", s.Forced, s.Slots[slot])
			}
			// The same turn in another Plan changes nothing, even where the slot is elsewhere by then.
			s.Slots[slot].Member = uint8(was)
			again := ordered
			p.Now += 30 * ms
			f.pick(&p, &again, 1514)
			if s.Forced != 1 || s.Slots[slot].to != 0 {
				t.Error("a turn was carried out twice")
			}
			next := ordered
			order(&next, ordered.Shortest.Moves...)
			p.Now += 30 * ms
			if f.pick(&p, &next, 1514) == was || s.Forced != 2 {
				t.Error("the next turn was not carried out")
			}
		})
	}
}

// What is of no flow goes where it must.
func TestShortestFixed(t *testing.T) {
	pl := shortestPlan(100, 100, 100)
	pl.Active = 2
	frames := map[string]frametest.IP{
		"IGMP": {Src: "10.0.0.1", Dst: "224.0.0.22", Proto: frame.ProtoIGMP, DstMAC: 0x01005e000016},
		"MLD":  {Src: "fe80::1", Dst: "ff02::16", Proto: frame.ProtoICMPv6, DstMAC: 0x333300000016, Options: true},
		"multicast": {Src: "10.0.0.1", Dst: "239.1.1.1", Proto: frame.ProtoUDP, SrcPort: 5, DstPort: 6,
			DstMAC: 0x01005e010101},
		"unicast": {Src: "10.0.0.1", Dst: "10.0.0.2", Proto: frame.ProtoIGMP, DstMAC: 0x020000000999},
	}
	for name, d := range frames {
		f := &parsed{b: d.Frame()}
		frame.Parse(f.b, &f.h)
		var p Picker
		fixed := name == "IGMP" || name == "MLD"
		if id := f.pick(&p, pl, 100); fixed && id != 2 || id < 0 {
			t.Errorf("%s: by %d", name, id)
		}
		var slots, other uint64
		for _, s := range p.Flows().Slots {
			slots += s.Bytes
		}
		for _, q := range p.Flows().Members {
			other += q.Fixed
		}
		if fixed && (slots != 0 || other != 100) || !fixed && (slots != 100 || other != 0) {
			t.Errorf("%s: %d bytes of flows, %d of none", name, slots, other)
		}
		const behind frame.MAC = 0x020000000500
		behind.Put(f.b, 6)
		frame.Parse(f.b, &f.h)
		for range 3 {
			if id := f.pick(&p, pl, 100); id != pl.Active {
				t.Errorf("%s from somebody unknown behind: by %d, active is %d", name, id, pl.Active)
			}
		}
		known := *pl
		known.Behind = []frame.MAC{behind}
		for range 3 {
			if id := f.pick(&p, &known, 100); id != pl.Pin(behind) {
				t.Errorf("%s from behind: by %d, pinned to %d", name, id, pl.Pin(behind))
			}
		}
		nobody := *pl
		nobody.Distributing = 0
		nobody.Pins = nil
		nobody.Active = -1
		if id := f.pick(&p, &nobody, 100); id != -1 {
			t.Errorf("%s: by %d where nobody may send", name, id)
		}
	}
}

// Slots of a member that may send no more choose anew at once; one that comes begins with an empty queue.
func TestShortestFollowsThePlan(t *testing.T) {
	pl := shortestPlan(100, 100, 100)
	var p Picker
	var before [200]int
	for i := range before {
		for range 5 {
			before[i] = flowFrame(i).pick(&p, pl, 1514)
		}
	}
	two := shortestPlan(100, 0, 100)
	table := p.Flows()
	moved := 0
	for i, was := range before {
		slot := flowSlot(pl, &flowFrame(i).h, flowFrame(i).b)
		since := table.Slots[slot].Since
		p.Now += 10 * us
		switch id := flowFrame(i).pick(&p, two, 1514); {
		case id == 1:
			t.Fatal("by a member that may not send")
		case was == 1:
			if moved++; table.Slots[slot].Since != p.Now {
				t.Errorf("flow %d moved at %d, since %d", i, p.Now, table.Slots[slot].Since)
			}
		case id != was || table.Slots[slot].Since != since:
			t.Errorf("flow %d went from %d to %d though its frames are under way", i, was, id)
		}
	}
	if moved < 30 {
		t.Errorf("%d of %d flows moved", moved, len(before))
	}
	table.Members[1].Clock += 1000 * ms
	p.Now += 10 * ms
	flowFrame(0).pick(&p, pl, 64)
	if c := table.Members[1].Clock; c > p.Now+ms {
		t.Errorf("a member came back with %d ms in its queue", (c-p.Now)/ms)
	}
	// A reading of a member that does not send, or is none, changes nothing.
	was := table.Members
	flowFrame(0).pick(&p, two, 64)
	for _, id := range []int{1, 5, -1, 64} {
		p.Measured(id, 1e6, 1e6)
	}
	if table.Members[1] != was[1] {
		t.Error("a member that may not send was measured")
	}
}

// A reading that finds more waiting than was known holds back what was given before it.
func TestShortestReadingsHoldBack(t *testing.T) {
	pl := shortestPlan(1000, 1000)
	f := flowFrame(1)
	var p Picker
	p.Now = ms
	was := f.pick(&p, pl, 60000)
	p.Measured(was, 60000, 60000*100) // 48 ms at 1 Gbit/s
	for range 47 {
		p.Now += ms
		if id := f.pick(&p, pl, 64); id != was {
			t.Fatalf("after %d ms by %d, though its frames wait with %d", p.Now/ms, id, was)
		}
	}
	// One that finds nothing waiting lets it go, though more is noted.
	p.Now += us
	f.pick(&p, pl, 1<<20)
	p.Measured(was, 0, 0)
	p.Now += 2 * ms
	p.Flows().Members[was].Clock = p.Now + 10*ms
	if id := f.pick(&p, pl, 64); id == was {
		t.Error("it stays with a long queue though its frames have left")
	}
}
