// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// flowsOf are frames of so many flows of the adapter.
func flowsOf(n int) (all [][]byte) {
	for i := range n {
		all = append(all, stack(make([]byte, 1000), ether(peerMAC, adapterMAC, frame.TypeIPv4),
			ipv4(frame.ProtoTCP, 0, 0), tcp(uint16(1000+i), 80, 3)))
	}
	return all
}

// drawShortest is a Plan of RuleShortest. Orders to move name slots in use.
func (s *sender) drawShortest(t *rapid.T, c *cast, flows [][]byte) *spread.Plan {
	pl := drawPlan(t, c, spread.RuleShortest)
	pl.Shortest.Gain = rapid.SampledFrom([]time.Duration{spread.DefaultGain, spread.DefaultGain, 0, time.Hour}).Draw(t,
		"gain")
	pl.Shortest.Skew = rapid.SampledFrom([]time.Duration{spread.DefaultSkew, spread.DefaultSkew,
		0, 10 * time.Millisecond}).Draw(t, "skew")
	if s.plan == nil || rapid.IntRange(0, 3).Draw(t, "same salt") > 0 {
		pl.Hash = spread.Hash{Policy: spread.Layer34, Salt: 7}
	}
	if s.plan != nil {
		pl.Shortest.Generation = s.plan.Shortest.Generation
	}
	for set := c.members; set != 0; set = set.Without(set.First()) {
		if rapid.IntRange(0, 3).Draw(t, "returns") == 0 {
			pl.Shortest.Closed[set.First()] = rapid.SampledFrom([]uint8{1, 26, 128, 231, 255}).Draw(t, "closed")
		}
	}
	if rapid.Bool().Draw(t, "orders") {
		pl.Shortest.Generation++
		var to []uint8
		for set := c.members; set != 0; set = set.Without(set.First()) {
			to = append(to, uint8(set.First()))
		}
		for range 8 {
			var h frame.Headers
			b := rapid.SampledFrom(flows).Draw(t, "flow to move")
			frame.Parse(b, &h)
			pl.Shortest.Moves = append(pl.Shortest.Moves,
				spread.Move{Slot: uint16(pl.Hash.Of(&h, b) % spread.FlowCount),
					To: rapid.SampledFrom(to).Draw(t, "to")})
		}
	}
	return pl
}

// The flow table and the queues are the same after every frame, whoever keeps them, whatever is read meanwhile and
// whichever Plans follow each other.
func TestProgramSpreadsFlowsAsTheRelay(t *testing.T) {
	serial(t)
	b := newBed(t)
	flows := flowsOf(12)
	seen := map[string]uint64{}
	rapid.Check(t, func(t *rapid.T) {
		s := newSender(b)
		waits := rapid.SampledFrom([][]int64{
			{0, 0, 1, 1000, 10_000, 100_000, 600_000, 3_000_000, 21_000_000, 1_100_000_000},
			{0, 0, 1000, 20_000, 100_000}, {1_000_000_000 - 1, 1_000_000_000},
		}).Draw(t, "waits")
		var was spread.TxState
		for range rapid.IntRange(2, 4).Draw(t, "plans") {
			c := drawCast(t)
			if s.cast != nil && rapid.Bool().Draw(t, "same members") {
				c = s.cast
			}
			pl := s.drawShortest(t, c, flows)
			if err := s.follow(pl, c); err != nil {
				t.Fatal(err)
			}
			src := append(slices.Clone(c.behind), adapterMAC, adapterMAC, groupMAC)
			dst := []frame.MAC{peerMAC, groupMAC, frame.Broadcast}
			for range rapid.IntRange(60, 200).Draw(t, "frames") {
				b.now += rapid.SampledFrom(waits).Draw(t, "wait")
				if rapid.IntRange(0, 7).Draw(t, "reading") == 0 {
					s.measured(rapid.IntRange(0, spread.MaxMembers-1).Draw(t, "of"),
						rapid.Uint64Range(0, 1<<20).Draw(t, "sent"),
						rapid.SampledFrom([]int{0, 0, 1500, 64 << 10, 1 << 20, 8 << 20}).Draw(t, "waiting"))
				}
				f, gso := rapid.SampledFrom(flows).Draw(t, "flow"),
					uint16(rapid.SampledFrom([]int{0, 0, 10, 300}).Draw(t, "gso"))
				if rapid.IntRange(0, 3).Draw(t, "aim") == 0 {
					s.aim(t, f)
				}
				if rapid.IntRange(0, 7).Draw(t, "other") == 0 {
					if f = drawFrame(t, dst, src); len(f) < least {
						f = slices.Concat(f, make([]byte, least-len(f)))
					}
				}
				was.Flows.Forced = s.kept.Flows.Forced
				if _, err := s.compare(f, gso); err != nil {
					t.Fatalf("%v\nplan %+v", err, pl)
				}
				s.noteSlot(seen, pl, f, was.Flows.Forced)
			}
			if err := s.same(true); err != nil {
				t.Fatalf("%v\nplan %+v", err, pl)
			}
		}
	})
	if testing.Short() { // a fifth of the draws: not all of it need be seen
		return
	}
	for _, what := range []string{"shortest", "rank", "forced", "only", "stays", "paused", "late", "fixed",
		"around a suspect", "around one that returns"} {
		if seen[what] < 10 {
			t.Errorf("%d frames %s", seen[what], what)
		}
	}
	t.Log(seen)
}

// aim waits until the very moment when something about a frame's slot changes, or until just before it.
func (s *sender) aim(t *rapid.T, f []byte) {
	var h frame.Headers
	frame.Parse(f, &h)
	fl := &(*programTxState)(unsafe.Pointer(s.kept)).Flows
	slot := &fl.Slots[s.plan.Hash.Of(&h, f)%spread.FlowCount]
	q := &fl.Members[slot.Member%spread.MaxMembers]
	at := rapid.SampledFrom([]int64{slot.Until, slot.Until + int64(s.plan.Shortest.Skew),
		slot.Until + int64(time.Second), slot.Until + q.LateBy + int64(s.plan.Shortest.Skew), q.All,
		fl.ForceBy, q.Clock - int64(s.plan.Shortest.Gain), q.At + int64(time.Millisecond),
		q.At + int64(2*time.Millisecond), s.now}).Draw(t, "moment")
	at -= rapid.Int64Range(0, 1).Draw(t, "before")
	if s.now < at && at < s.now+int64(10*time.Second) {
		s.now = at
	}
}

// noteSlot notes what the rule came to for a frame.
func (s *sender) noteSlot(seen map[string]uint64, pl *spread.Plan, f []byte, forced uint64) {
	var h frame.Headers
	frame.Parse(f, &h)
	fl := &s.kept.Flows
	slot := &fl.Slots[pl.Hash.Of(&h, f)%spread.FlowCount]
	if h.Src != pl.Adapter || h.Dst.Multicast() {
		seen["fixed"]++
		return
	}
	if slot.Until == 0 {
		return
	}
	if slot.Since == s.now {
		seen[[]string{"shortest", "rank", "forced", "only"}[slot.Why]]++
		if pl.FlowTargets() != pl.Distributing {
			seen["around a suspect"]++
		}
		if pl.ClosedTo(int(pl.Hash.Of(&h, f)%spread.FlowCount)) != 0 {
			seen["around one that returns"]++
		}
	} else {
		seen["stays"]++
	}
	if fl.Forced != forced {
		seen["carried out"]++
	}
	if slot.Pauses > 0 {
		seen["paused"]++
	}
	if slot.Until > s.now+int64(time.Second) {
		seen["late"]++
	}
}

// A locked slot keeps its member, if that distributes.
func TestLockedSlot(t *testing.T) {
	b := newBed(t)
	s := newSender(b)
	c := &cast{members: 6}
	c.mac[1], c.mac[2] = memberMAC(1), memberMAC(2)
	pl := &spread.Plan{Rule: spread.RuleShortest, Adapter: adapterMAC, PerMember: true, Distributing: 6, Active: 1,
		Shortest: &spread.Shortest{Gain: spread.DefaultGain, Skew: spread.DefaultSkew}}
	for id := 1; id < 3; id++ {
		pl.Weights[id], pl.Shortest.Rates[id] = spread.MaxShare, 1e9
	}
	labtest.Must(t, s.follow(pl, c))
	f := flowsOf(1)[0]
	_, err := s.compare(f, 0)
	labtest.Must(t, err)
	var h frame.Headers
	frame.Parse(f, &h)
	slot := pl.Hash.Of(&h, f) % spread.FlowCount
	member := b.txState.Flows.Slots[slot].Member
	l := lockOf(b, int(slot))
	*l = 1
	for _, distributing := range []spread.MemberSet{6, spread.MemberSet(6).Without(int(member))} {
		next := *pl
		next.Distributing = distributing
		labtest.Must(t, s.follow(&next, c))
		was := b.txState.Flows.Slots[slot]
		was.Bytes += uint64(len(f)) // it is counted, and nothing is decided
		o, err := b.run(b.Transmit, f, 0)
		labtest.Must(t, err)
		want := int(member)
		if !distributing.Has(want) {
			want = distributing.First()
		}
		if o.Verdict != verdictRedirect || o.Counts.members[want].TX[frame.TCP].Frames != 1 {
			t.Errorf("with %b: %d, by member %d: %d", distributing, o.Verdict, want,
				o.Counts.members[want].TX[frame.TCP].Frames)
		}
		if got := b.txState.Flows.Slots[slot]; got != was || *l != 1 {
			t.Errorf("with %b: slot %+v, was %+v", distributing, got, was)
		}
	}
}

// An order waits for a gap as long as it may and no longer. One to a member that has gone is forgotten in the next gap.
func TestOrdersToMove(t *testing.T) {
	b := newBed(t)
	f := flowsOf(1)[0]
	var h frame.Headers
	frame.Parse(f, &h)
	c := &cast{members: 7}
	first := &spread.Plan{Rule: spread.RuleShortest, Adapter: adapterMAC, Distributing: 7,
		Shortest: &spread.Shortest{Gain: time.Hour, Skew: spread.DefaultSkew}}
	for id := range 3 {
		c.mac[id], first.Weights[id], first.Shortest.Rates[id] = memberMAC(id), spread.MaxShare, 10e6
	}
	slot := first.Hash.Of(&h, f) % spread.FlowCount
	for _, v := range []struct {
		name   string
		gone   bool  // the member that it is to go to
		until  int64 // ns before or after the moment from which orders do not wait
		paused bool
		moves  bool
	}{
		{name: "not yet", until: -1},
		{name: "no longer", until: 0, moves: true},
		{name: "in a gap", until: -1, paused: true, moves: true},
		{name: "gone", until: 0, gone: true},
		{name: "gone, in a gap", until: 0, gone: true, paused: true},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := newSender(b)
			labtest.Must(t, s.follow(first, c))
			for range 60 { // 50 ms
				_, err := s.compare(f, 0)
				labtest.Must(t, err)
			}
			was := s.kept.Flows.Slots[slot]
			order, ordered := *first.Shortest, *first
			ordered.Shortest = &order
			order.Generation, order.Moves = 1, []spread.Move{{Slot: uint16(slot), To: (was.Member + 1) % 3}}
			labtest.Must(t, s.follow(&ordered, c))
			if v.gone {
				less := ordered
				less.Distributing = less.Distributing.Without(int(order.Moves[0].To))
				labtest.Must(t, s.follow(&less, c))
			}
			s.now = s.kept.Flows.ForceBy + v.until
			if v.paused {
				s.now = was.Until + int64(first.Shortest.Skew)
			}
			_, err := s.compare(f, 0)
			labtest.Must(t, err)
			labtest.Must(t, s.same(true))
			if got := b.txState.Flows.Slots[slot]; (got.Member != was.Member) != v.moves ||
				(got.Pauses > was.Pauses) != v.paused {
				t.Errorf("%+v, was %+v", got, was)
			}
			if v.gone { // and has come again
				labtest.Must(t, s.follow(&ordered, c))
				s.now += int64(30 * time.Millisecond)
				_, err := s.compare(f, 0)
				labtest.Must(t, err)
				labtest.Must(t, s.same(true))
				if moved := b.txState.Flows.Forced != 0; moved == v.paused {
					t.Errorf("moved by order %v", moved)
				}
			}
		})
	}
}
