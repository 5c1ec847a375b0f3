// SPDX-License-Identifier: MIT

package relay

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/internal/tap"
	"nicteam/modes/spread"
	"nicteam/team"
)

const (
	slotLen = (frame.VnetLen + tap.MaxFrame + 63) &^ 63

	// batchBytes ends a batch of super-frames early: the first must leave while the last are still in the cache, and
	// members must not fall idle while the adapter is read.
	batchBytes = 256 << 10

	// sourceAt is the offset of the source address in [virtio header][frame].
	sourceAt = frame.VnetLen + 6
)

// transmitter moves frames from the adapter's queue to the members. One goroutine runs it.
type transmitter struct {
	r      *Relay
	queue  *tap.Queue
	epoch  epoch
	picker spread.Picker
	poke   poke          // while held
	ending atomic.Bool   // run must return
	done   chan struct{} // closed when run has returned

	between  betweenBatches
	handover *handover // nil: none is under way
	yielded  bool      // programs transmit, with the same TxState, and measure what members carry

	buffers []byte // nic.Batch slots
	n       int    // frames in the batch
	now     int64  // start of the batch
	sizes   [nic.Batch]int
	metas   [nic.Batch]frameMeta
	picked  [nic.Batch]spread.MemberSet // members by which each leaves; none: it is lost, or joined to an earlier one
	merger  frame.Merger
	at      int // the frame being handled

	touched    spread.MemberSet                     // members with frames queued
	used       spread.MemberSet                     // members that the batch uses, with a tally
	unread     spread.MemberSet                     // members that transmitted since their backlog was read
	with       [spread.MaxMembers]*member           // the members in used, nil for one that has not joined
	order      [spread.MaxMembers][nic.Batch]uint8  // the frame at each index of a member's socket
	charges    [spread.MaxMembers][nic.Batch]uint32 // truesize of these frames
	tallies    [spread.MaxMembers]tally
	refused    []refusal        // to be resent
	origin     [nic.Batch]uint8 // the member that refused a frame that is resent
	newSources newSources
}

// frameMeta is what counting and delivering a frame needs.
type frameMeta struct {
	protocol  frame.Protocol
	frames    uint32
	bytes     uint32
	setSource bool // transmit: the member's address replaces the adapter's
	slow      bool // receive: for the control loop, after all frames before it were delivered
	tunnel    bool // receive: a super-frame of a tunnel
	unicast   bool
}

type refusal struct{ frame, member uint8 }

func newTransmitter(r *Relay, q *tap.Queue) *transmitter {
	t := &transmitter{r: r, queue: q, buffers: make([]byte, nic.Batch*slotLen), refused: make([]refusal, 0, nic.Batch),
		poke: newPoke()}
	return t
}

// start runs the transmitter until end.
func (t *transmitter) start() error {
	if err := t.queue.ClearWake(); err != nil {
		return err
	}
	t.ending.Store(false)
	t.done = make(chan struct{})
	t.between.open()
	go func() {
		defer close(t.done)
		t.run()
		t.between.close()
		if t.handover != nil {
			t.handover.end(nic.ErrClosed)
			t.handover = nil
		}
	}()
	return nil
}

// end ends run and waits for it.
func (t *transmitter) end() error {
	t.ending.Store(true)
	err := t.wake()
	<-t.done
	return err
}

// wake ends the goroutine's wait.
func (t *transmitter) wake() error {
	t.poke.now()
	return t.queue.Wake()
}

func (t *transmitter) run() {
	for !t.ending.Load() {
		t.between.run()
		if t.r.held.Load() {
			t.poke.wait()
			continue
		}
		if t.handover != nil {
			t.handOver()
			continue
		}
		switch err := t.take(); err {
		case nil:
		case unix.EAGAIN:
			// Woken to run a function, or to end; one that is posted from here on wakes it again.
			if !t.queue.Wait() && t.queue.ClearWake() != nil {
				return
			}
		default:
			// Another process removed the device. The control loop learns that by netlink.
			t.r.log.Error("adapter cannot be read", "err", err)
			return
		}
	}
}

// take moves a batch without waiting. EAGAIN: there was none, or the relay is held.
func (t *transmitter) take() error {
	if t.r.held.Load() {
		return unix.EAGAIN
	}
	t.n, t.at = 0, 0
	err := t.read()
	if t.n == 0 {
		return err
	}
	t.batch()
	return nil
}

// handOver does the next step of a handover.
func (t *transmitter) handOver() {
	if over, err := t.handover.step(t.take); over {
		t.yielded = err == nil
		t.handover.end(err)
		t.handover = nil
	}
}

// read reads what the queue has, up to a batch, without waiting.
func (t *transmitter) read() error {
	for total := 0; t.n < nic.Batch && total < batchBytes; {
		n, err := t.queue.Read(t.buffers[t.n*slotLen:][:slotLen])
		switch err {
		case nil:
			t.sizes[t.n] = n
			t.n++
			total += n
		case unix.EINTR:
		default:
			return err
		}
	}
	return nil
}

// frame returns frame i of the batch. Its capacity is room for frames that are joined to it.
func (t *transmitter) frame(i int) []byte {
	return t.buffers[i*slotLen : i*slotLen+t.sizes[i] : (i+1)*slotLen]
}

// batch sends the frames of a batch by the Plan in force.
func (t *transmitter) batch() {
	t.epoch.enter()
	defer t.epoch.leave()
	u := t.r.active.Load()
	t.now = t.r.clock.now()
	t.picker.Now = t.now
	for t.at < t.n {
		t.pick(u)
	}
	t.merger.Finish()
	for t.at = 0; t.at < t.n; {
		t.spread(u)
	}
	t.flush(u, true)
	if len(t.refused) > 0 {
		t.resend(u)
		t.flush(u, false)
	}
	// A member that gets no frames because its queue looked long must still be measured.
	for left := t.unread &^ t.used; left != 0; left = left.Without(left.First()) {
		t.enlist(left.First())
	}
	t.unread = 0
	for ; t.used != 0; t.used = t.used.Without(t.used.First()) {
		id := t.used.First()
		l := &t.tallies[id]
		if m := t.with[id]; m != nil && !t.measureRate(u, m, l) {
			t.unread = t.unread.With(id)
		}
		t.r.accounts[id].tx.add(l)
		l.charge = 0
		t.with[id] = nil
	}
}

// pick picks the members of the frames from t.at on, and joins those of UDP flows. It returns early if one panics: only
// that is lost.
func (t *transmitter) pick(u *ActivePlan) {
	defer t.recovered()
	var h frame.Headers
	var v frame.Vnet
	for ; t.at < t.n; t.at++ {
		t.picked[t.at] = 0
		b := t.frame(t.at)
		if len(b) < frame.VnetLen || !frame.Parse(b[frame.VnetLen:], &h) {
			t.r.noMember[team.DropMalformed].Add(1)
			continue
		}
		v.Unmarshal(b)
		tunnel := v.GSOType&frame.GSOTunnel != 0 && v.Tunnelled(&h) && frame.FindInner(v, b[frame.VnetLen:], &h)
		frames, bytes := frame.WireCount(v, &h, len(b)-frame.VnetLen)
		if !tunnel && !nic.NormalizeVnet(b, &v, &h) {
			t.r.noMember[team.DropMalformed].Add(uint64(frames))
			continue
		}
		if h.Src != u.Adapter && !h.Src.Multicast() && h.Src != 0 {
			t.noteLocalSource(u, h.Station(h.Src, b[frame.VnetLen:]))
			if advert, ok := h.AdvertStation(b[frame.VnetLen:]); ok {
				t.r.recentLocal.noteSent(t.now, advert)
			}
		}
		if h.Protocol == frame.ARP && h.Src == u.Adapter {
			t.r.arpProbes.note(t.now, &h, b[frame.VnetLen:])
		}
		ours := u.PerMember && h.Src == u.Adapter
		if ours && u.Distributing != 0 && isARPorND(&h) && t.r.control.passFrame(-1, b) {
			continue // the control loop sends it by Send
		}
		f := frameMeta{protocol: h.Protocol, frames: uint32(frames), bytes: uint32(bytes),
			unicast:   !h.Dst.Multicast(),
			setSource: ours || u.PerMember && spread.GroupReport(&h, b[frame.VnetLen:])}
		t.metas[t.at] = f
		set := t.picker.Pick(u.Plan, &h, b[frame.VnetLen:], bytes)
		if set == 0 {
			t.r.noMember[team.DropNoMember].Add(uint64(frames))
			continue
		}
		if h.Protocol == frame.UDP && u.Rule != spread.RuleBroadcast {
			id := set.First()
			if m := t.enlist(id); m != nil && m.socket.USO() {
				if to, n := t.merger.Add(t.at, b, v, &h, id); to >= 0 {
					t.sizes[to] = n
					t.metas[to].frames += f.frames
					t.metas[to].bytes += f.bytes
					continue
				}
			}
		}
		t.picked[t.at] = set
	}
}

// noteLocalSource reports station s behind the adapter to the control loop, if the Plan does not have it or lets it
// age.
func (t *transmitter) noteLocalSource(u *ActivePlan, s frame.Station) {
	t.r.recentLocal.noteSent(t.now, s)
	if !u.isStation(s) || u.isAgeing(s) {
		t.newSources.reportOnce(t.r.control, u, s)
	}
}

// spread queues the frames from t.at on. It returns early if one panics, as pick does.
func (t *transmitter) spread(u *ActivePlan) {
	defer t.recovered()
	for ; t.at < t.n; t.at++ {
		for set := t.picked[t.at]; set != 0; set = set.Without(set.First()) {
			t.put(u, t.at, set.First(), true)
		}
	}
}

// recovered recovers a panic over the frame at t.at, which is lost.
func (t *transmitter) recovered() {
	if p := recover(); p != nil {
		t.r.panics.Frame(p, t.frame(t.at))
		t.picked[t.at] = 0
		t.at++
	}
}

// enlist returns member id for this batch, nil if it has not joined. A member that leaves waits for the end of the
// batch.
func (t *transmitter) enlist(id int) *member {
	if !t.used.Has(id) {
		t.used, t.with[id] = t.used.With(id), t.r.members[id].Load()
	}
	return t.with[id]
}

// put queues frame i on member id. It is refused if the member has not joined.
func (t *transmitter) put(u *ActivePlan, i, id int, first bool) {
	m := t.enlist(id)
	if m == nil {
		t.refuse(u, i, id, first)
		return
	}
	f := &t.metas[i]
	if f.setSource {
		u.MACs[id].Put(t.frame(i), sourceAt)
	}
	index := m.socket.Queue(t.frame(i))
	t.order[id][index] = uint8(i)
	t.touched = t.touched.With(id)
	l := &t.tallies[id]
	charge := truesizeOf(m.socket, t.frame(i), f)
	t.charges[id][index] = uint32(charge)
	l.charge += uint64(charge)
	l.count(f)
}

// refuse handles frame i that member id refused. It is resent by another member once, and lost the second time. A copy
// of SpreadBroadcast is lost at once: the other members have theirs.
func (t *transmitter) refuse(u *ActivePlan, i, id int, first bool) {
	frames := uint64(t.metas[i].frames)
	switch {
	case !first:
		l := &t.tallies[t.origin[i]]
		l.other -= frames
		l.drops[team.DropRefused] += frames
	case u.Rule == spread.RuleBroadcast:
		t.tallies[id].drops[team.DropRefused] += frames
	default:
		t.refused = append(t.refused, refusal{frame: uint8(i), member: uint8(id)})
	}
}

// flush sends what is queued, with one system call a member.
func (t *transmitter) flush(u *ActivePlan, first bool) {
	for ; t.touched != 0; t.touched = t.touched.Without(t.touched.First()) {
		id := t.touched.First()
		l := &t.tallies[id]
		for _, f := range t.with[id].socket.Flush() {
			i := int(t.order[id][f.Index])
			meta := &t.metas[i]
			l.uncount(meta)
			l.charge -= uint64(t.charges[id][f.Index])
			switch f.Reason {
			case nic.Backlog:
				l.drops[team.DropBacklog] += uint64(meta.frames)
				if !first {
					t.tallies[t.origin[i]].other -= uint64(meta.frames)
				}
			case nic.Refused:
				l.errors++
				t.r.control.reportSuspect(id)
				t.refuse(u, i, id, first)
			default:
				l.errors++
				l.drops[team.DropMalformed] += uint64(meta.frames)
				if !first {
					t.tallies[t.origin[i]].other -= uint64(meta.frames)
				}
			}
		}
	}
}

// resend queues refused frames on other members.
func (t *transmitter) resend(u *ActivePlan) {
	for _, f := range t.refused {
		i, id := int(f.frame), int(f.member)
		l, frames := &t.tallies[id], uint64(t.metas[i].frames)
		other := spread.Other(u.Plan, spread.MemberSet(0).With(id))
		if other < 0 {
			l.drops[team.DropRefused] += frames
			continue
		}
		l.other += frames
		t.origin[i] = f.member
		t.put(u, i, other, false)
	}
	t.refused = t.refused[:0]
}
