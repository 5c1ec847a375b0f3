// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"

	"nicteam/monitor"
)

// The link watches see from the counters that a member sends and hears nothing. The samples are taken in a goroutine of
// their own, since a data path that opens a NIC answers slowly. A sample that was late says so: what the counters say
// about members then is about ourselves.

const (
	// sampleIdle is the time between two samples while nothing moves, sampleMoving while frames do, and sampleBusy while
	// so many do that a member that loses them is worth the cost.
	sampleIdle   = 50 * time.Millisecond
	sampleMoving = 10 * time.Millisecond
	sampleBusy   = 5 * time.Millisecond
	// sampleBusyFrames between two samples are 1000 a second.
	sampleBusyFrames = 10
	// sampleQuietRounds is how many samples without a frame follow the last one with: until then silence may be news.
	sampleQuietRounds = 10
	// sampleLate is how late a sample may be taken or handled.
	sampleLate = 5 * time.Millisecond
	// retransmitsGap is the time between two readings of the retransmissions, which are a file of the kernel.
	retransmitsGap = 20 * time.Millisecond
)

// sampler takes samples of the counters.
type sampler struct {
	read     func(*Moved)
	resent   func() uint64 // nil: unknown
	moved    Moved
	traffic  monitor.Traffic
	total    uint64 // of frames
	quiet    int    // samples since a frame moved
	resentAt time.Time
}

// newSampler returns a sampler of the data path.
func (t *Team) newSampler() *sampler {
	return &sampler{read: t.o.Datapath.Moved, resent: t.o.Retransmits, quiet: sampleQuietRounds}
}

// runSampling samples the counters until ctx ends.
func (t *Team) runSampling(ctx context.Context) {
	s := t.newSampler()
	every := sampleIdle
	due := time.Now().Add(every)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		t.o.Panics.Do(panicSampling, func() {
			began := time.Now()
			every = s.sample(began, t.snapshot.Load().ids)
			s.traffic.Late = began.Sub(due) > sampleLate
			if s.quiet <= sampleQuietRounds {
				_, _ = t.post(ctx, request{in: Traffic{s.traffic}, sampledAt: began})
			}
		})
		due = time.Now().Add(every)
		timer.Reset(every)
	}
}

// sample reads the counters of members, and returns the time to the next sample.
func (s *sampler) sample(now time.Time, ids []int) time.Duration {
	s.read(&s.moved)
	s.traffic.Members = s.traffic.Members[:0]
	var total uint64
	for _, id := range ids {
		f := &s.moved[id]
		s.traffic.Members = append(s.traffic.Members, monitor.Moved{ID: id, TX: f.TX, RX: f.RX})
		total += f.TX + f.RX
	}
	moved := counterDiff(total, s.total)
	s.total = total
	if moved > 0 {
		s.quiet = 0
	} else if s.quiet <= sampleQuietRounds {
		s.quiet++
	}
	if s.resent != nil && s.quiet <= sampleQuietRounds && now.Sub(s.resentAt) >= retransmitsGap {
		s.traffic.Retransmits, s.resentAt = s.resent(), now
	}
	switch {
	case s.quiet > sampleQuietRounds:
		return sampleIdle
	case moved >= sampleBusyFrames:
		return sampleBusy
	}
	return sampleMoving
}
