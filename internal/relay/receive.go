// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/limit"
	"nicteam/internal/nic"
	"nicteam/internal/tap"
	"nicteam/modes/spread"
	"nicteam/team"
)

// member moves frames from a NIC to the adapter. One goroutine runs it.
type member struct {
	r      *Relay
	id     int
	socket *nic.Socket
	queue  *tap.Queue
	epoch  epoch
	poke   poke          // while held
	ending atomic.Bool   // run must return, also while held
	done   chan struct{} // closed when run has ended
	slow   slowReceiver
	groups groupFilter
	// which parts of the NIC's receive filter follow a Plan of this process
	followed atomic.Uint32
	failed   int // errors of Receive in a row

	between  betweenBatches
	handover *handover // nil: none is under way

	n, at          int                      // the batch, and the frame in hand
	frames         [nic.ReceiveBatch][]byte // for the adapter; nil: none, or joined to an earlier one
	metas          [nic.ReceiveBatch]frameMeta
	merger         frame.Merger
	merge          bool  // the adapter accepts UDP super-frames
	tunnel         bool  // the adapter accepts super-frames of UDP tunnels
	recentNow      int64 // recentLocal.lookupTime
	moveCandidates MoveCandidates
	slowLimit      limit.Bucket
	answers        answerLimits
	claimLimit     limit.Bucket
	tally          tally

	rate rateMeter // the transmitter's goroutine's
}

// newMember returns a member that does not run yet. The caller holds the relay's mutex.
func newMember(r *Relay, id int, s *nic.Socket) *member {
	s.OnPanic(r.panics.Frame)
	takes := r.adapter.Offloads()
	m := &member{r: r, id: id, socket: s, queue: r.adapter.Queues()[0], merge: takes.USO(), tunnel: takes.Tunnel(),
		poke: newPoke(), done: make(chan struct{})}
	m.slow.m, m.slow.done = m, make(chan struct{})
	m.between.open()
	return m
}

func (m *member) run() {
	defer close(m.done)
	for m.next() {
	}
	m.between.close()
	if m.handover != nil {
		m.handover.end(nic.ErrClosed)
	}
}

// wake ends the goroutine's wait.
func (m *member) wake() error {
	m.poke.now()
	return m.socket.Wake()
}

// next waits for frames and moves a batch. It returns false if there will be no more.
func (m *member) next() bool {
	m.between.run()
	if m.r.held.Load() {
		m.poke.wait()
		return !m.ending.Load()
	}
	if m.handover != nil {
		if over, err := m.handover.step(m.poll); over {
			m.handover.end(err)
			m.handover = nil
		}
		return true
	}
	switch err := m.take(m.socket.Receive()); err {
	case nil:
	case unix.EAGAIN:
		// Woken to run a function; one that is posted from here on wakes it again.
		if err := m.socket.ClearWake(); err != nil {
			return m.take(0, err) == nil
		}
	default:
		return false
	}
	return true
}

// poll moves a batch without waiting. EAGAIN: there was none.
func (m *member) poll() error { return m.take(m.socket.Poll()) }

// take moves the n frames that Receive returned, or handles its error. It returns EAGAIN if there were none, and any
// other error if there will be no more.
func (m *member) take(n int, err error) error {
	switch {
	case err == nil && n == 0:
		return unix.EAGAIN
	case err == nil:
		m.failed = 0
		m.n, m.at = n, 0
		m.batch()
	case errors.Is(err, nic.ErrClosed):
		return err
	case errors.Is(err, nic.ErrGone):
		m.r.control.reportSuspect(m.id)
		return err
	case errors.Is(err, nic.ErrDown):
		m.r.control.reportSuspect(m.id)
	default:
		// Usually one bad frame. An error that persists must not take the processor.
		m.r.accounts[m.id].rx.errors.Add(1)
		if m.failed++; m.failed > 100 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// batch moves the received frames to the adapter by the Plan in force.
func (m *member) batch() {
	m.epoch.enter()
	defer m.epoch.leave()
	u := m.r.active.Load()
	m.recentNow = m.r.recentLocal.lookupTime(m.r.clock)
	for m.at < m.n {
		m.choose(u)
	}
	m.merger.Finish()
	for m.at = 0; m.at < m.n; {
		m.deliver()
	}
	clear(m.frames[:m.n]) // they are in the socket's room, which is not this member's for long
	m.r.accounts[m.id].rx.add(&m.tally)
}

// choose decides on the frames from m.at on, and joins those of UDP flows. It returns early if one panics: only that is
// lost.
func (m *member) choose(u *ActivePlan) {
	defer m.recovered()
	var h frame.Headers
	var v frame.Vnet
	for ; m.at < m.n; m.at++ {
		m.frames[m.at] = nil
		b := m.socket.Frame(m.at)
		if b == nil || !frame.Parse(b[frame.VnetLen:], &h) {
			m.tally.drops[team.DropMalformed]++
			continue
		}
		v.Unmarshal(b)
		tunnel := v.Tunnelled(&h) && frame.FindInner(v, b[frame.VnetLen:], &h)
		frames, bytes := frame.WireCount(v, &h, len(b)-frame.VnetLen)
		if isSlow(&h) {
			m.frames[m.at], m.metas[m.at] = b, frameMeta{protocol: h.Protocol, slow: true}
			continue
		}
		if u.isOurProbe(&h, b[frame.VnetLen:]) { // perhaps from a member: they hear each other
			m.passOnly(&h, b)
			continue
		}
		if u.IsOwn(h.Src) || m.reflected(u, &h, b[frame.VnetLen:]) {
			m.tally.drops[team.DropReflected] += uint64(frames)
			continue
		}
		answer := u.isAnswer(&h, b[frame.VnetLen:])
		if answer && m.isARPAnswer(&h, b[frame.VnetLen:]) {
			m.passOnly(&h, b)
			continue
		}
		if answer || u.asksAll(&h, b[frame.VnetLen:]) {
			m.passAnswer(&h, b)
		}
		f := frameMeta{protocol: h.Protocol, frames: uint32(frames), bytes: uint32(bytes), tunnel: tunnel,
			unicast: !answer && !h.Dst.Multicast()}
		whose, drop := u.Accept(m.id, h.Dst, m.r.recentLocal.sentRecently(m.recentNow,
			h.Station(h.Dst, b[frame.VnetLen:])))
		if whose == ForNobody && u.IsFlooded(m.id, h.Dst) {
			m.tally.other += uint64(frames)
		}
		if whose != ForNobody && !tunnel && !nic.NormalizeVnet(b, &v, &h) {
			whose, drop = ForNobody, team.DropMalformed
		}
		if whose == ForNobody {
			m.tally.drops[drop] += uint64(frames)
			continue
		}
		if isARPorND(&h) && !answer && (whose == ForUs && u.PerMember || m.claims(u, &h, b)) {
			m.r.control.passFrame(m.id, b)
		}
		if whose == ForUs && u.PerMember {
			atomic.AddUint64(&m.r.rxBytes[spread.RxClass(&h, b[frame.VnetLen:])], uint64(bytes))
		}
		// The stack accepts only the adapter's address. Peers know a member's own address from before it joined, or
		// because elb announced it to them.
		if whose == ForUs && h.Dst != u.Adapter {
			u.Adapter.Put(b, frame.VnetLen)
		}
		if h.Protocol == frame.UDP && m.merge {
			if to, n := m.merger.Add(m.at, b, v, &h, 0); to >= 0 {
				m.frames[to] = m.frames[to][:n]
				m.metas[to].frames += f.frames
				m.metas[to].bytes += f.bytes
				continue
			}
		}
		m.frames[m.at], m.metas[m.at] = b, f
	}
}

// reflected reports whether a frame is one that the adapter sent, reflected by a switch. A later frame from a station
// behind the adapter may mean that the station has moved. Two hosts that both take themselves for the master of a
// virtual router send from its MAC, and must hear each other.
func (m *member) reflected(u *ActivePlan, h *frame.Headers, b []byte) bool {
	s := h.Station(h.Src, b)
	since := m.r.recentLocal.sinceSent(m.recentNow, s)
	if since >= MovedAfter && u.isStation(s) && m.moveCandidates.Add(m.r.clock.now(), s) {
		m.r.CheckMoved(s)
	}
	if since < RecentTime {
		if advert, ok := h.AdvertStation(b); ok {
			return m.r.recentLocal.sentRecently(m.recentNow, advert)
		}
	}
	return since < RecentTime
}

// claimRate bounds the frames about addresses of this host that a member passes to the control loop.
var claimRate = limit.Rate{Every: 20 * time.Millisecond, Burst: 16}

// claims reports whether the frame in b ([virtio header][frame]) says something of an address of this host, within the
// limit.
func (m *member) claims(u *ActivePlan, h *frame.Headers, b []byte) bool {
	if len(u.Held) == 0 {
		return false
	}
	_, held := slices.BinarySearchFunc(u.Held, h.Claimed(b[frame.VnetLen:]), netip.Addr.Compare)
	return held && m.claimLimit.Take(time.Unix(0, m.r.clock.now()), claimRate)
}

// deliver writes the frames from m.at on to the adapter, and passes slow protocols to the control loop. It returns
// early if one panics, as choose does.
func (m *member) deliver() {
	defer m.recovered()
	for ; m.at < m.n; m.at++ {
		b := m.frames[m.at]
		if b == nil {
			continue
		}
		f := &m.metas[m.at]
		if f.slow {
			m.receiveSlow(b, f.protocol)
			continue
		}
		if drop, ok := m.write(b, f.tunnel); !ok {
			m.tally.drops[drop] += uint64(f.frames)
			continue
		}
		m.tally.count(f)
	}
}

// recovered recovers a panic over the frame at m.at, which is lost.
func (m *member) recovered() {
	if p := recover(); p != nil {
		m.r.panics.Frame(p, m.socket.Frame(m.at))
		m.frames[m.at] = nil
		m.at++
	}
}

// write writes a frame to the adapter. False: it was dropped, for that reason.
func (m *member) write(b []byte, tunnel bool) (team.Drop, bool) {
	if tunnel {
		return m.writeTunnel(b)
	}
	for {
		switch _, err := m.queue.Write(b); err {
		case nil:
			return 0, true
		case unix.EINTR:
		case unix.EINVAL:
			if frame.GSOAt(b) == frame.GSOUDPL4 && m.segment(b) {
				// The segments were accepted: this kernel refuses correct UDP super-frames.
				m.merge = false
				return 0, true
			}
			return team.DropMalformed, false
		default:
			return team.DropAdapter, false
		}
	}
}

// segment writes the super-frame b to the adapter in segments, and reports whether it accepted any.
func (m *member) segment(b []byte) bool {
	var v frame.Vnet
	v.Unmarshal(b)
	took := false
	piece := make([]byte, frame.VnetLen, slotLen) // a zero header: segments are finished frames
	_ = frame.Segment(v, b[frame.VnetLen:], func(seg []byte) bool {
		_, err := m.queue.Write(append(piece, seg...))
		took = took || err == nil
		return true
	})
	return took
}

// writeTunnel writes the super-frame b of a tunnel to the adapter: whole if the kernel has a header for it, else as UDP
// super-frames of the tunnel's datagrams, else in segments.
func (m *member) writeTunnel(b []byte) (team.Drop, bool) {
	var v frame.Vnet
	v.Unmarshal(b)
	if m.tunnel && v.MarshalTunnel(b) {
		_, err := m.queue.WriteTunnel(b)
		for err == unix.EINTR {
			_, err = m.queue.WriteTunnel(b)
		}
		switch err {
		case nil:
			return 0, true
		case unix.EINVAL:
			v.Marshal(b) // the kernel does not accept this frame whole
		default:
			return team.DropAdapter, false
		}
	}
	took := false
	if !m.merge {
		took = m.segment(b)
	} else if err := frame.Regroup(v, b[frame.VnetLen:], func(group []byte) bool {
		_, ok := m.write(group, false)
		took = took || ok
		return true
	}); err != nil {
		return team.DropMalformed, false
	}
	if !took {
		return team.DropAdapter, false
	}
	return 0, true
}
