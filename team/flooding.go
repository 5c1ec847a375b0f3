// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"

	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

const (
	// countersInterval is how often the counters are read. A planned change of the active member must know by then
	// whether the switch floods, or frames arrive twice during the overlap.
	countersInterval = 100 * time.Millisecond
	// floodingSettle is how long after a change a learning switch may still send by the old port.
	floodingSettle = 2 * modes.Overlap
	// floodingFrames in floodingSpan are more than the flooding after a MAC table entry has aged out.
	floodingFrames = 100
	floodingSpan   = time.Second
	// floodingGap is the least time between two responses to flooding.
	floodingGap = time.Minute
	// floodingAfterFailover is how long after a failover there is no response.
	floodingAfterFailover = 2 * time.Second
	// strayFrames within straySpan make a flooding switch for the mode, which then ends rx overlaps. A single
	// frame, which anyone may have sent, must not: overlaps keep planned changes lossless.
	strayFrames = 3
	straySpan   = 10 * time.Second
	// floodingAge is how long after the last stray frame the switch counts as flooding.
	floodingAge = 5 * time.Minute
)

// flood counts the frames that a member was sent for another one.
type flood struct {
	since      time.Time // when frames began to count
	frames     uint64
	answeredAt time.Time // when it was last answered
}

// flooding responds to a switch that does not know where the adapter's MAC is: learning frames, and an event. It is no
// warning: the team works with such a switch, only slower.
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
	// idleFrames between two readings are so few that carriers are read at PollIdle.
	idleFrames = 10
	// busyFrames between two readings are so many that they are read at PollBusy. Where the data path sees losses by
	// itself, PollIdle does for any number: what it sees is looked at as often.
	busyFrames = 100
	// idleCountersInterval is how often counters and carriers are read when idle.
	idleCountersInterval = 200 * time.Millisecond
)

// countersLook reads the counters ten times a second while frames move. It reports stray frames to the control loop,
// sets the poll rate of carriers, and adds to the traffic history once a second.
type countersLook struct {
	t           *Team
	counters    Counters
	flooded     [spread.MaxMembers]uint64
	moved, sent uint64
	every       time.Duration // to the next reading
	losses      time.Duration // between two looks at the data path's Dead; 0: it sees no losses
}

// look reads the counters, until ctx ends.
func (l *countersLook) look(ctx context.Context) {
	t, c := l.t, &l.counters
	l.every, l.losses = countersInterval, 0
	nowSent := t.sent.Load()
	t.o.Datapath.Counters(c)
	v := t.snapshot.Load()
	t.recorder.addTotals(time.Now(), v, c)
	now := c.totalFrames()
	n := counterDiff(now, l.moved)
	// What the control loop sends, and what answers that, is no load.
	n -= min(n, 2*(nowSent-l.sent))
	l.moved, l.sent = now, nowSent
	if n < idleFrames {
		l.every = idleCountersInterval
	}
	switch {
	case t.o.Datapath.SeesLosses():
		if l.losses = lossesInterval; n < idleFrames || len(v.ids) < 2 {
			l.losses = l.every // or no other member could take over
		}
		t.watch.SetPollRate(monitor.PollIdle)
	case n < idleFrames:
		t.watch.SetPollRate(monitor.PollIdle)
		t.watch.ReadOnce()
	case n < busyFrames:
		t.watch.SetPollRate(monitor.PollNormal)
	default:
		t.watch.SetPollRate(monitor.PollBusy)
	}
	for id := range l.flooded {
		n := c.Members[id].Flooded
		if more := counterDiff(n, l.flooded[id]); n != l.flooded[id] && more > 0 {
			_, _ = t.post(ctx, request{in: Flooding{ID: id, Frames: more}})
		}
		l.flooded[id] = n
	}
}

// totalFrames is the number of frames, delivered or not.
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
