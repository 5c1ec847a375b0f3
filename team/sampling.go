// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"

	"nicteam/internal/tick"
	"nicteam/monitor"
)

// The link watches see from the counters that a member sends and hears nothing. The samples are taken in a goroutine of
// their own, since a data path that opens a NIC answers slowly. A sample that was late says so: what the counters say
// about members then is about ourselves.

const (
	// sampleAsleep is the time between two samples when nothing has moved for sampleAwake, or no link watch asks;
	// sampleIdle before that, sampleMoving while frames move, and sampleBusy while so many do that a member that loses
	// them is worth the cost. Most of what an idle team costs is that it wakes a CPU.
	sampleAsleep = 200 * time.Millisecond
	sampleAwake  = 2 * time.Second
	// sampleAsleepLate is how much later it is taken when the counters are not read meanwhile.
	sampleAsleepLate = 50 * time.Millisecond
	sampleIdle       = 50 * time.Millisecond
	sampleMoving     = 10 * time.Millisecond
	sampleBusy       = 5 * time.Millisecond
	// busyRate is sampleBusy's, in frames per second.
	busyRate = 500
	// sampleQuietFor is how long samples go on at their rate after the last frame: until then silence may be news.
	sampleQuietFor = 100 * time.Millisecond
	// sampleLate is how late a sample may be taken or handled: as late as a Tick of the link watches.
	sampleLate = 10 * time.Millisecond
	// retransmitsGap is the time between two readings of the retransmissions, which are a file of the kernel.
	retransmitsGap = 20 * time.Millisecond
)

// sampler takes samples of the counters.
type sampler struct {
	read     func(*Moved)
	unsent   func(id int) bool
	resent   func() uint64 // nil: unknown
	moved    Moved
	traffic  monitor.Traffic // the last sample
	at       time.Time       // when it was taken
	total    uint64          // of frames
	movedAt  time.Time       // when they last rose
	every    time.Duration   // to the next sample
	resentAt time.Time
}

// newSampler returns a sampler of the data path.
func (t *Team) newSampler() *sampler {
	return &sampler{read: t.o.Datapath.Moved, unsent: t.o.Datapath.Unsent, resent: t.o.Retransmits, every: sampleIdle}
}

// runSampling samples the counters until ctx ends.
func (t *Team) runSampling(ctx context.Context) {
	s := t.newSampler()
	due := time.Now().Add(s.every)
	timer := time.NewTimer(s.every)
	defer timer.Stop()
	for {
		// While nothing moves, the process wakes for the counters and for this at the same time.
		awake := t.countersRead
		if s.every != sampleAsleep {
			awake = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-awake:
		case <-timer.C:
		}
		t.o.Panics.Do(panicSampling, func() {
			began := time.Now()
			if v := t.snapshot.Load(); !v.asks {
				s.every = sampleAsleep
			} else if s.sample(began, v.ids, t.judging.Load()) {
				s.traffic.Late = began.Sub(due) > sampleLate
				_, _ = t.post(ctx, request{in: Traffic{s.traffic}, sampledAt: began})
			}
		})
		wait := s.every + sampleAsleepLate
		if s.every != sampleAsleep {
			wait = tick.UntilBeat(s.every) // with the carriers' readings
		}
		due = time.Now().Add(min(wait, s.every))
		timer.Reset(wait)
	}
}

// sample reads the counters of members, and reports whether they are news. judging: link watches compare members, and
// must know whose asks have not left.
func (s *sampler) sample(now time.Time, ids []int, judging bool) bool {
	s.read(&s.moved)
	s.traffic.Members = s.traffic.Members[:0]
	var total uint64
	unsent := false
	for _, id := range ids {
		m := &s.moved[id]
		waits := judging && s.unsent(id)
		s.traffic.Members = append(s.traffic.Members, monitor.Moved{ID: id, TX: m.TX, RX: m.RX, Unsent: waits})
		total += m.TX + m.RX
		unsent = unsent || waits
	}
	frames, span := counterDiff(total, s.total), now.Sub(s.at)
	s.total, s.at = total, now
	switch {
	case unsent:
		s.every = sampleBusy
	case frames == 0 && now.Sub(s.movedAt) > sampleAwake:
		s.every = sampleAsleep
		return false
	case frames == 0 && now.Sub(s.movedAt) > sampleQuietFor:
		s.every = sampleIdle
		return false
	case frames == 0:
	case frames*uint64(time.Second) >= busyRate*uint64(span):
		s.movedAt, s.every = now, sampleBusy
	default:
		s.movedAt, s.every = now, sampleMoving
	}
	if s.resent != nil && now.Sub(s.resentAt) >= retransmitsGap {
		s.traffic.Retransmits, s.resentAt = s.resent(), now
	}
	return true
}

// markLate marks a sample that the control loop handles too long after it was taken.
func (r *request) markLate(now time.Time) {
	if in, is := r.in.(Traffic); is && now.Sub(r.sampledAt) > sampleLate {
		in.Late = true
		r.in = in
	}
}
