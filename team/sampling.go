// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"

	"nicteam/modes/spread"
	"nicteam/monitor"
)

// The link watches see from the counters that a member sends and hears nothing. The samples are taken outside of the
// control loop (looks.go), since a data path that opens a NIC answers slowly. The loop is told of those that may be
// news (monitor.Hearing), and of the others now and then: to tell it costs more than the sample. A sample that was late
// says so: what the counters say about members then is about ourselves.

const (
	// sampleAsleep is the time between two samples when nothing has moved for sampleAwake, or no link watch asks;
	// sampleIdle before that, and of a team in which no other member could take over; sampleMoving while frames move.
	// Most of what a team costs is that it wakes a CPU.
	sampleAsleep = 200 * time.Millisecond
	sampleAwake  = 2 * time.Second
	sampleIdle   = 50 * time.Millisecond
	sampleMoving = 10 * time.Millisecond
	// sampleJudging is that while members are compared: asks may wait in a queue.
	sampleJudging = 5 * time.Millisecond
	// sampleQuietFor is how long samples go on at their rate after the last frame: until then silence may be news.
	sampleQuietFor = 100 * time.Millisecond
	// sampleLate is how late a sample may be taken or handled: as late as a Tick of the link watches.
	sampleLate = 10 * time.Millisecond
	// sampleTold is the longest time between two samples that the control loop is told of while frames move.
	sampleTold = 100 * time.Millisecond
	// retransmitsGap is the time between two readings of the retransmissions, which are a file of the kernel.
	retransmitsGap = 20 * time.Millisecond
)

// sampler takes samples of the counters.
type sampler struct {
	read     func(*Moved)
	unsent   func(id int) bool
	resent   func() uint64 // nil: unknown
	moved    Moved
	hearing  [spread.MaxMembers]monitor.Hearing
	traffic  monitor.Traffic // the last sample
	toldAt   time.Time       // when the control loop was told of one
	total    uint64          // of frames
	movedAt  time.Time       // when they last rose
	every    time.Duration   // to the next sample
	resentAt time.Time
}

// newSampler returns a sampler of the data path.
func (t *Team) newSampler() *sampler {
	return &sampler{read: t.o.Datapath.Moved, unsent: t.o.Datapath.Unsent, resent: t.o.Retransmits, every: sampleIdle}
}

// sampleOnce takes a sample, which was due then, and tells the control loop if it may be news.
func (t *Team) sampleOnce(ctx context.Context, s *sampler, due time.Time) {
	began := time.Now()
	v := t.snapshot.Load()
	if !v.asks {
		s.every = sampleAsleep
		return
	}
	if s.sample(began, v.ids, t.judging.Load(), began.Sub(due) > sampleLate) {
		_, _ = t.post(ctx, request{in: Traffic{s.traffic}, sampledAt: began})
	}
}

// sample reads the counters of members, and reports whether they may be news. judging: link watches compare members,
// and must know all, and whose asks have not left.
func (s *sampler) sample(now time.Time, ids []int, judging, late bool) (news bool) {
	s.read(&s.moved)
	s.traffic.Members, s.traffic.Late = s.traffic.Members[:0], late
	var total uint64
	unsent := false
	for _, id := range ids {
		m, h := &s.moved[id], &s.hearing[id]
		waits := judging && s.unsent(id)
		news = h.Sample(now, m.TX, m.RX, late) || news
		s.traffic.Members = append(s.traffic.Members, monitor.Moved{ID: id, TX: m.TX, RX: m.RX, Unsent: waits})
		h.Tell(&s.traffic.Members[len(s.traffic.Members)-1])
		total += m.TX + m.RX
		unsent = unsent || waits
	}
	frames := counterDiff(total, s.total)
	s.total = total
	switch {
	case unsent:
		s.every = sampleJudging
	case frames == 0 && now.Sub(s.movedAt) > sampleAwake:
		s.every = sampleAsleep
		return false
	case frames == 0 && now.Sub(s.movedAt) > sampleQuietFor:
		s.every = sampleIdle
		return false
	default:
		if s.every = sampleMoving; judging {
			s.every = sampleJudging
		} else if len(ids) < 2 {
			s.every = sampleIdle
		}
		if frames > 0 {
			s.movedAt = now
		}
	}
	if s.resent != nil && now.Sub(s.resentAt) >= retransmitsGap {
		was := s.traffic.Retransmits
		s.traffic.Retransmits, s.resentAt = s.resent(), now
		news = news || s.traffic.Retransmits != was
	}
	if !news && !judging && !late && now.Sub(s.toldAt) < sampleTold {
		return false
	}
	s.toldAt = now
	for _, id := range ids {
		s.hearing[id].Told()
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
