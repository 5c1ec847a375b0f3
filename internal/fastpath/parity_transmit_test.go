// SPDX-License-Identifier: MIT

package fastpath

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// sender is a bed beside what the relay would do: a Picker of its own, and one that has the programs' memory, as the
// relay's has while programs transmit.
type sender struct {
	*bed
	ref, over *spread.Picker
	kept      *spread.TxState // ref's
	plan      *spread.Plan
	cast      *cast

	migrations uint64 // id of the last one

	dead    spread.MemberSet
	stoodIn int // the member by which the last frame left in place of a dead one, -1 none
}

func newSender(b *bed) *sender {
	s := &sender{bed: b, ref: &spread.Picker{Seed: 3}, over: &spread.Picker{Seed: 3}, kept: &spread.TxState{}}
	*b.txState = spread.TxState{}
	s.ref.KeepIn(s.kept)
	s.over.KeepIn(b.txState)
	return s
}

// follow puts a Plan in force for all.
func (s *sender) follow(pl *spread.Plan, c *cast) error {
	s.plan, s.cast = pl, c
	for _, p := range []*spread.Picker{s.ref, s.over} {
		p.Now = s.now
		p.Follow(pl)
	}
	return s.apply(pl, c)
}

// measured has all read what a member has sent.
func (s *sender) measured(id int, sent uint64, waiting int) {
	for _, p := range []*spread.Picker{s.ref, s.over} {
		p.Now = s.now
		p.Measured(id, sent, waiting)
	}
}

// goTransmits is what the relay does with a frame of the adapter: see transmitter.pick there.
func (s *sender) goTransmits(b []byte, gso uint16) (o outcome) {
	f, _ := goFinds(b, s.plan.Hash.Salt, gso)
	pl := s.plan
	stranger := f.Src != pl.Adapter && !f.Src.Multicast() && f.Src != 0 &&
		!slices.Contains(pl.Stations, frame.StationOf(f.Src, f.VLAN))
	if f.Relays || stranger {
		o.Verdict = verdictNext
		return o
	}
	var h frame.Headers
	frame.Parse(b, &h)
	s.ref.Now = s.now
	set := s.ref.Pick(pl, &h, b, f.Bytes)
	if set == 0 {
		o.Verdict = verdictShot
		o.Counts.noMember[team.DropNoMember] += uint64(f.Frames)
		return o
	}
	if pl.Rule != spread.RuleBroadcast && set&s.dead != 0 {
		if s.stoodIn = s.ref.StandIn(pl, set.First(), s.dead, &h, b, f.Bytes); s.stoodIn >= 0 {
			set = spread.MemberSet(0).With(s.stoodIn)
		}
	}
	o.Verdict, o.Frame = verdictRedirect, slices.Clone(b)
	for ; set != 0; set = set.Without(set.First()) {
		id := set.First()
		if pl.PerMember && (f.Src == pl.Adapter || f.Report) {
			s.cast.mac[id].Put(o.Frame, 6)
		}
		o.Octets[id] = uint64(len(b))
		o.Counts.members[id].TX[f.Protocol] = frame.Count{Bytes: uint64(f.Bytes), Frames: uint64(f.Frames)}
		if !f.Dst.Multicast() {
			o.Unicast[id].TX = uint64(f.Frames)
		}
	}
	return o
}

// compare has the program and the relay deal with a frame.
func (s *sender) compare(b []byte, gso uint16) (outcome, error) {
	want := s.goTransmits(b, gso)
	got, err := s.run(s.Transmit, b, gso)
	if err != nil {
		return want, err
	}
	if diff := compareOutcomes(want, got); diff != "" {
		return want, fmt.Errorf("frame %x, super-frame of %d (-relay +program):\n%s", b, gso, diff)
	}
	return want, s.same(false)
}

// same compares what is kept, all of it or what every frame changes.
func (s *sender) same(all bool) error {
	s.kept.Flows.Now = s.txState.Flows.Now // the test's clock
	if s.kept.RoundRobin != s.txState.RoundRobin {
		return fmt.Errorf("turns %+v, want %+v", s.txState.RoundRobin, s.kept.RoundRobin)
	}
	if s.kept.Migration != s.txState.Migration {
		for slot := range s.kept.Migration.Slots {
			if got, want := s.txState.Migration.Slots[slot], s.kept.Migration.Slots[slot]; got != want {
				return fmt.Errorf("slot %d at %d: %+v, want %+v", slot, s.now, got, want)
			}
		}
		return fmt.Errorf("turn %d of %d since %d, want %d of %d since %d",
			s.txState.Migration.ID, s.txState.Migration.Generation, s.txState.Migration.Since,
			s.kept.Migration.ID, s.kept.Migration.Generation, s.kept.Migration.Since)
	}
	if s.kept.Flows.Members != s.txState.Flows.Members {
		for id := range s.kept.Flows.Members {
			if got, want := s.txState.Flows.Members[id], s.kept.Flows.Members[id]; got != want {
				return fmt.Errorf("queue of member %d at %d: %+v, want %+v", id, s.now, got, want)
			}
		}
	}
	if all && octets(s.kept) != octets(s.txState) {
		for slot := range s.kept.Flows.Slots {
			if got, want := s.txState.Flows.Slots[slot], s.kept.Flows.Slots[slot]; got != want {
				return fmt.Errorf("slot %d at %d: %+v, want %+v", slot, s.now, got, want)
			}
		}
		return fmt.Errorf("forced %d by %d, want %d by %d, or an octet in between",
			s.txState.Flows.Forced, s.txState.Flows.ForceBy, s.kept.Flows.Forced, s.kept.Flows.ForceBy)
	}
	return nil
}

// octets returns the bytes of a TxState, unexported fields included.
func octets(l *spread.TxState) string {
	return unsafe.String((*byte)(unsafe.Pointer(l)), unsafe.Sizeof(*l))
}

func TestProgramTransmitsAsTheRelay(t *testing.T) {
	serial(t)
	b := newBed(t)
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		s := newSender(b)
		for range rapid.IntRange(1, 3).Draw(t, "plans") {
			c := drawCast(t)
			pl := drawPlan(t, c, spread.RuleNone, spread.RuleSingle, spread.RuleSlots, spread.RuleSlots,
				spread.RuleRoundRobin)
			src := append(slices.Clone(c.behind), adapterMAC, adapterMAC, adapterMAC, adapterMAC, peerMAC, groupMAC, 0)
			dst := []frame.MAC{peerMAC, peerMAC, groupMAC, frame.Broadcast}
			if rapid.Bool().Draw(t, "plain") {
				pl.Hash.Policy = spread.Layer34
				src, dst = []frame.MAC{adapterMAC}, append(dst, peerMAC, peerMAC, peerMAC, peerMAC)
			}
			if err := s.follow(pl, c); err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(1, 60).Draw(t, "frames") {
				b.now += rapid.SampledFrom([]int64{0, 1000, 1e9}).Draw(t, "wait")
				f := drawTagged(t, drawFrame(t, dst, src))
				if len(f) < least {
					f = slices.Concat(f, make([]byte, least-len(f)))
				}
				o, err := s.compare(f, rapid.SampledFrom([]uint16{0, 0, 10, 1448}).Draw(t, "gso"))
				if err != nil {
					t.Fatalf("%v\nplan %+v", err, pl)
				}
				if err := s.sources(f); err != nil {
					t.Fatal(err)
				}
				noteSent(seen, pl, f, &o)
			}
		}
	})
	t.Log(seen)
	if testing.Short() { // a fifth of the draws: not all of it need be seen
		return
	}
	for _, what := range []string{"by the relay", "lost", "single", "slots", "round-robin", "random", "renamed"} {
		if seen[what] < 10 {
			t.Errorf("%d frames %s", seen[what], what)
		}
	}
	for _, what := range []string{"plain single", "plain slots", "plain round-robin", "plain lost"} {
		if seen[what] == 0 {
			t.Errorf("no frame %s", what)
		}
	}
}

func noteSent(seen map[string]int, pl *spread.Plan, f []byte, o *outcome) {
	if isPlain(pl) && isPlainFrame(f) {
		what := map[spread.Rule]string{spread.RuleSingle: "plain single", spread.RuleSlots: "plain slots",
			spread.RuleRoundRobin: "plain round-robin"}[pl.Rule]
		if o.Verdict == verdictShot {
			what = "plain lost"
		}
		seen[what]++
	}
	switch {
	case o.Verdict == verdictNext:
		seen["by the relay"]++
	case o.Verdict == verdictShot:
		seen["lost"]++
	case pl.Rule == spread.RuleSingle:
		seen["single"]++
	case pl.Rule == spread.RuleSlots:
		seen["slots"]++
	case pl.Rule == spread.RuleRoundRobin && pl.PacketsPerMember == 0:
		seen["random"]++
	case pl.Rule == spread.RuleRoundRobin:
		seen["round-robin"]++
	}
	if o.Verdict == verdictRedirect && !slices.Equal(f, o.Frame) {
		seen["renamed"]++
	}
}

// isPlainFrame reports whether transmit reads a frame by bpf/plain.h.
func isPlainFrame(b []byte) bool {
	f, ok := goFinds(b, 0, 0)
	return ok && isOrdinary(&f, len(b), false) && f.EtherType == frame.TypeIPv4 && f.Src == adapterMAC &&
		!f.Dst.Multicast()
}

// sources checks that the program recorded the source of a frame, to recognise reflected frames.
func (s *sender) sources(f []byte) error {
	var h frame.Headers
	frame.Parse(f, &h)
	src, station := h.Src, h.Station(h.Src, f)
	if src == s.plan.Adapter || src.Multicast() || src == 0 {
		return nil
	}
	var sent uint64
	if slices.Contains(s.plan.Stations, station) {
		sent = s.stations.sent(station)
	} else if err := s.RecentLocal.Lookup(uint64(station), &sent); err != nil {
		return fmt.Errorf("station %v: %w", station, err)
	}
	if sent != uint64(s.now) {
		return fmt.Errorf("%v sent at %d, noted %d", station, s.now, sent)
	}
	return nil
}

// A gate that is not GateFast leaves transmission to the relay, or drops.
func TestTransmitObeysItsGate(t *testing.T) {
	b := newBed(t)
	s := newSender(b)
	c := &cast{members: 1}
	c.mac[0] = memberMAC(0)
	labtest.Must(t, s.follow(&spread.Plan{Rule: spread.RuleSingle, Adapter: adapterMAC, Distributing: 1}, c))
	f := vectors()[0].b
	for gate, want := range []struct {
		verdict int
		after   uint32
		lost    uint64
	}{{verdictNext, 0, 0}, {verdictNext, 0, 0}, {verdictRedirect, 2, 0}, {verdictShot, 3, 1}} {
		b.gates(uint32(gate))
		o, err := b.run(b.Transmit, f, 0)
		labtest.Must(t, err)
		got, lost := b.control.TransmitGate, o.Counts.noMember[team.DropBacklog]
		if o.Verdict != want.verdict || got != want.after || lost != want.lost {
			t.Errorf("gate %d: verdict %d, gate %d afterwards, %d lost, want %+v", gate, o.Verdict, got, lost, want)
		}
	}
}

// The product's own object does what the tests' object does, whose clock is another.
func TestProductTransmitsAndReceives(t *testing.T) {
	labtest.Root(t)
	k, err := load()
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, k.close()) })
	b := &bed{TB: t, kernel: k}
	b.gates(2)
	for i := range k.cpus {
		k.cpus[i].Ifindex, k.cpus[i].Decided = loopback, 2
	}
	c := &cast{members: 6}
	c.mac[1], c.mac[2] = memberMAC(1), memberMAC(2)
	pl := &spread.Plan{Rule: spread.RuleShortest, Adapter: adapterMAC, PerMember: true,
		Distributing: 6, Collecting: 6, Multicast: 2, Active: 1,
		TeamMACs: []frame.MAC{adapterMAC, memberMAC(1), memberMAC(2)},
		Shortest: &spread.Shortest{Gain: spread.DefaultGain, Skew: spread.DefaultSkew}}
	for id := 1; id < 3; id++ {
		pl.Weights[id], pl.Shortest.Rates[id] = spread.MaxShare, 1e9
	}
	s := &sender{bed: b, ref: &spread.Picker{}, over: &spread.Picker{}}
	s.over.KeepIn(k.txState)
	labtest.Must(t, s.follow(pl, c))
	labtest.Must(t, b.receives(2))
	for name, p := range map[string]*ebpf.Program{"transmit": k.Transmit, "receive": k.Receive} {
		f := slices.Clone(vectors()[0].b)
		if p == k.Receive {
			memberMAC(2).Put(f, 0)
			peerMAC.Put(f, 6)
		}
		o, err := b.run(p, f, 0)
		labtest.Must(t, err)
		if o.Verdict != verdictRedirect {
			t.Errorf("%s: %d", name, o.Verdict)
		}
	}
}
