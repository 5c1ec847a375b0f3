// SPDX-License-Identifier: MIT

package fastpath

import (
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// Several processors send frames of one flow at once, while readings come in: nothing is lost from what is counted,
// no lock stays, and clocks stay sane.
func TestProcessorsShareTheTable(t *testing.T) {
	b := newBed(t)
	const senders, rounds, repeat = 4, 20, 5000
	flow := flowsOf(1)[0]
	for _, rule := range []spread.Rule{spread.RuleShortest, spread.RuleRoundRobin} {
		s := newSender(b)
		c := &cast{members: 0b1110}
		pl := &spread.Plan{Rule: rule, Adapter: adapterMAC, Distributing: c.members, Active: 1, PacketsPerMember: 2,
			Shortest: &spread.Shortest{Gain: spread.DefaultGain, Skew: spread.DefaultSkew}}
		for id := 1; id < 4; id++ {
			c.mac[id], pl.Weights[id], pl.Shortest.Rates[id] = memberMAC(id), spread.MaxShare, 1e9
		}
		labtest.Must(t, s.follow(pl, c))
		b.txState.Flows.Now = b.now
		var before, after counts
		before.read(b.kernel, ^spread.MemberSet(0))
		var all sync.WaitGroup
		for range senders {
			all.Go(func() {
				for range rounds {
					// The same frame is run again and again, so it must not be changed.
					_, err := b.Transmit.Run(&ebpf.RunOptions{Data: flow, Context: skBuff{Ifindex: loopback},
						Repeat: repeat})
					labtest.Check(t, err)
				}
			})
		}
		if rule == spread.RuleShortest {
			for range 200 {
				s.over.Now = b.now
				s.over.Measured(2, 1500, 64<<10)
			}
		}
		all.Wait()
		after.read(b.kernel, ^spread.MemberSet(0))
		got := since(&after, &before)
		var frames, bytes, slotted uint64
		for id := range got.members {
			frames += got.members[id].TX[frame.TCP].Frames
			bytes += got.members[id].TX[frame.TCP].Bytes
		}
		if want := uint64(senders * rounds * repeat); frames < want || frames > want+want/10 ||
			bytes != frames*uint64(len(flow)) {
			t.Errorf("rule %d: %d frames of %d bytes, want %d or a few more", rule, frames, bytes, want)
		}
		if rule == spread.RuleRoundRobin {
			for id := 1; id < 4; id++ {
				if n := got.members[id].TX[frame.TCP].Frames; n < frames/4 || n > frames/2 {
					t.Errorf("member %d got %d of %d frames", id, n, frames)
				}
			}
			continue
		}
		for slot := range b.txState.Flows.Slots {
			slotted += b.txState.Flows.Slots[slot].Bytes
			if *lockOf(b, slot) != 0 {
				t.Errorf("slot %d is locked", slot)
			}
		}
		// Who finds a slot held for long sends without it, and is counted.
		if slotted != bytes {
			t.Errorf("%d bytes by slots, %d by members", slotted, bytes)
		}
		for id := 1; id < 4; id++ {
			if q := b.txState.Flows.Members[id]; q.Clock < b.now || q.Clock > b.now+int64(bytes)*8+2e9 {
				t.Errorf("member %d: clock %d at %d", id, q.Clock, b.now)
			}
		}
	}
}
