package team

import (
	"context"
	"time"

	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

const (
	// countersInterval is how often the data path is asked what came in where nothing should: a planned change
	// of the active member must know of a switch that floods by then, or doubles what comes meanwhile.
	countersInterval = 100 * time.Millisecond
	// floodingSettle is how long after a change a switch that learns may still send the old way.
	floodingSettle = 2 * modes.Overlap
	// floodingFrames in floodingSpan are more than a switch floods because it has just forgotten
	// an address.
	floodingFrames = 100
	floodingSpan   = time.Second
	// floodingGap is the least time between two answers to flooding.
	floodingGap = time.Minute
	// floodingAfterFailover is how long after a failover no answer is due.
	floodingAfterFailover = 2 * time.Second
	// strayFrames within straySpan are what modes are told of: a switch that floods does so with each frame, and one frame
	// that somebody else has sent is not to end overlaps, by which planned changes lose nothing.
	strayFrames = 3
	straySpan   = 10 * time.Second
	// floodingAge is how long modes are told of flooding after it was last seen.
	floodingAge = 5 * time.Minute
)

// flood is what a member was sent that was for another.
type flood struct {
	since      time.Time // when frames began to count
	frames     uint64
	answeredAt time.Time // when it was last answered
}

// flooding answers a switch that does not know where the adapter's address is: it is told, and so
// are people. It is no warning, because a team works with such a switch, only not as fast.
func (l *Loop) flooding(now time.Time, in Flooding, out *Output) {
	m := l.byID(in.ID)
	if m == nil || in.Frames == 0 || now.Sub(l.collectingGrewAt) < floodingSettle {
		return
	}
	if now.Sub(l.strayWindow) > straySpan {
		l.strayWindow, l.strayCount = now, 0
	}
	if l.strayCount += in.Frames; l.strayCount >= strayFrames {
		l.dirty = l.dirty || now.Sub(l.floodSeen) >= floodingAge
		l.floodSeen = now
	}
	if now.Sub(l.collectingGrewAt) < floodingAfterFailover {
		return
	}
	f := l.floods[in.ID]
	if f == nil {
		f = &flood{}
		l.floods[in.ID] = f
	}
	if now.Sub(f.since) > floodingSpan {
		f.since, f.frames = now, 0
	}
	f.frames += in.Frames
	if f.frames < floodingFrames || now.Sub(f.answeredAt) < floodingGap {
		return
	}
	f.answeredAt = now
	l.addEffects(now, l.mode.Handle(now, modes.Flooded{Member: in.ID}), out)
	l.addEvent(out, now, "flooding", m.link.Name, "the switch sends it frames that are for another member")
}

const (
	// idleFrames between two looks are so few that the carrier watch may rest.
	idleFrames = 10
	// busyFrames between two looks are so many that every millisecond counts.
	busyFrames = 100
	// idleCountersInterval is how often the counters and the carriers are read then.
	idleCountersInterval = 200 * time.Millisecond
)

// watchCounters tells the control loop, ten times a second while frames move, which members were sent frames that the switch
// should have sent by another, and the carrier watch whether there is anything to lose; and once a second the history what was
// carried, which so needs no wake-up of its own. It has its own goroutine because a data path that is opening a NIC may be slow to count.
func (t *Team) watchCounters(ctx context.Context) {
	look := time.NewTicker(countersInterval)
	defer look.Stop()
	var c Counters
	var was [spread.MaxMembers]uint64
	var moved uint64
	count := func() {
		t.o.Datapath.Counters(&c)
		t.recorder.addTotals(time.Now(), t.snapshot.Load(), &c)
		now := c.totalFrames()
		n := counterDiff(now, moved)
		moved = now
		switch {
		case n < idleFrames:
			look.Reset(idleCountersInterval)
			t.watch.SetPollRate(monitor.PollIdle)
			t.watch.ReadNow()
		case n < busyFrames:
			look.Reset(countersInterval)
			t.watch.SetPollRate(monitor.PollNormal)
		default:
			look.Reset(countersInterval)
			t.watch.SetPollRate(monitor.PollBusy)
		}
		for id := range was {
			n := c.Members[id].Flooded
			if more := counterDiff(n, was[id]); n != was[id] && more > 0 {
				_, _ = t.post(ctx, request{in: Flooding{ID: id, Frames: more}})
			}
			was[id] = n
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		t.o.Panics.Do(panicCounters, count)
	}
}

// totalFrames is how many frames there were, delivered or not.
func (c *Counters) totalFrames() (n uint64) {
	for i := range c.Members {
		m := &c.Members[i]
		for p := range m.RX {
			n += m.RX[p].Frames + m.TX[p].Frames
		}
		for d := range m.TXDrop {
			n += m.TXDrop[d]
		}
	}
	for _, d := range c.Adapter.TXDrop {
		n += d
	}
	return n
}
