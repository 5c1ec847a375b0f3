// SPDX-License-Identifier: MIT

package sim

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/limit"
	"nicteam/monitor"
	"nicteam/team"
)

// watching is what surrounds the link watches of a team: the data path passes on what answers them (internal/relay),
// the shell samples the counters (team.Team), and the daemon says whom they may ask.
type watching struct {
	Gateways []monitor.Target // of the adapter
	Asks     int              // ARP and ND asks that all members have sent
	Missed   int              // answers that the data path dropped, because too many came at once
	NoHosts  bool             // the neighbours of the adapter are not told
	Lied     bool             // what answers is not what it seems, so that members are down for no fault of theirs

	counted     team.Moved
	traffic     monitor.Traffic // the last sample
	sampleTimer *timer
	sampleEvery time.Duration
	sampleDue   time.Duration
	sampleTotal uint64
	sampledAt   time.Duration
	movedAt     time.Duration // when a sample last showed frames
	resentAt    time.Duration
	hostsTimer  *timer
	targets     monitor.Targets // as told
}

// The times of team.Team's samples.
const (
	sampleIdle     = 50 * time.Millisecond
	sampleMoving   = 10 * time.Millisecond
	sampleBusy     = 5 * time.Millisecond
	sampleQuietFor = 100 * time.Millisecond
	sampleLate     = 5 * time.Millisecond
	busyRate       = 500 // frames per second
	resentEvery    = 20 * time.Millisecond
)

// answerRate bounds what the data path passes on of one source to one MAC.
var answerRate = limit.Rate{Every: 2 * time.Millisecond, Burst: 64}

// answerLimits bound what a member passes on.
type answerLimits [32]limit.Bucket

func (t *Team) newWatching() {
	t.sampleEvery = sampleIdle
	t.sampleTimer = newTimer(&t.w.clock, t.sample)
	t.hostsTimer = newTimer(&t.w.clock, t.watchHosts)
}

// stopWatching ends what the process does.
func (t *Team) stopWatching() {
	t.sampleTimer.stop()
	t.hostsTimer.stop()
	t.sampleEvery, t.targets = sampleIdle, monitor.Targets{}
}

// passes passes a copy of an answer to the control loop, within the limits.
func (m *member) passes(p *Packet) {
	hash := (uint64(p.h.Src) ^ bits.RotateLeft64(uint64(p.h.Dst), 24)) * 0x9e3779b97f4a7c15
	if m.answers[hash>>59].Take(m.t.w.time(), answerRate) {
		m.t.report(team.Control{Kind: team.ControlFrame, Member: m.id, Frame: slices.Clone(p.b)})
	} else {
		m.t.Missed++
	}
}

// isOurProbe reports whether a frame is a probe frame for this host.
func (t *Team) isOurProbe(p *Packet) bool {
	return p.h.EtherType == frame.TypeProbe && (p.h.Dst.Multicast() || t.own(p.h.Dst)) && frame.IsProbe(&p.h, p.b)
}

// isAnswer reports whether a frame may answer a link watch: an ARP reply to nobody's address, or an advertisement to
// one host.
func (t *Team) isAnswer(p *Packet) bool {
	if p.flow != nil || p.h.Dst.Multicast() || !t.own(p.h.Dst) {
		return false
	}
	if a, ok := parseARP(p); ok {
		return a.op == opReply && a.tpa.IsUnspecified()
	}
	n, ok := parseND(p)
	return ok && n.kind == typeNA
}

// answersAsk reports whether a frame of the control loop answers the link watches of another team.
func answersAsk(p *Packet) bool {
	if a, ok := parseARP(p); ok {
		return a.op == opReply && a.tpa.IsUnspecified()
	}
	n, ok := parseND(p)
	return ok && n.kind == typeNA && n.to.IsLinkLocalUnicast()
}

// isAsk reports whether a frame of the control loop is of its link watches. No neighbour learns from it.
func isAsk(p *Packet) bool {
	if p.h.EtherType == frame.TypeProbe {
		return true
	}
	if a, ok := parseARP(p); ok {
		return a.op == opRequest && a.spa.IsUnspecified()
	}
	n, ok := parseND(p)
	return ok && n.kind == typeNS && n.from == linkLocal(n.src)
}

// linkLocal is the link-local address by modified EUI-64.
func linkLocal(m frame.MAC) (a netip.Addr) {
	b := [16]byte{0: 0xfe, 1: 0x80, 11: 0xff, 12: 0xfe}
	var mac [8]byte
	binary.BigEndian.PutUint64(mac[:], uint64(m)<<16)
	copy(b[8:11], mac[:3])
	copy(b[13:], mac[3:6])
	b[8] ^= 2
	return netip.AddrFrom16(b)
}

// sample gives the loop the members' counters.
func (t *Team) sample() {
	if t.dead {
		t.sampleNext(sampleIdle)
		return
	}
	if late := t.stalled - t.w.now; late > 0 {
		t.sampleTimer.set(t.stalled + t.w.between(0, readDelay))
		return
	}
	var total uint64
	t.traffic.Members = t.traffic.Members[:0]
	for _, id := range t.ids {
		c := t.counted[id]
		t.traffic.Members = append(t.traffic.Members, monitor.Moved{ID: id, TX: c.TX, RX: c.RX,
			Unsent: t.members[id].unsent > t.w.now})
		total += c.TX + c.RX
	}
	frames, span := total-min(total, t.sampleTotal), t.w.now-t.sampledAt
	t.sampleTotal, t.sampledAt = total, t.w.now
	every := sampleMoving
	switch {
	case frames == 0 && t.w.now-t.movedAt > sampleQuietFor:
		return // active wakes it
	case frames == 0:
		every = t.sampleEvery
	case frames*uint64(time.Second) >= busyRate*uint64(span):
		t.movedAt, every = t.w.now, sampleBusy
	default:
		t.movedAt = t.w.now
	}
	if t.w.now-t.resentAt >= resentEvery {
		t.traffic.Retransmits, t.resentAt = t.Stack.Resent, t.w.now
	}
	t.traffic.Late = t.w.now-t.sampleDue > sampleLate
	t.sampleNext(every)
	t.handle(team.Traffic{Traffic: t.traffic})
}

func (t *Team) sampleNext(every time.Duration) {
	t.sampleEvery, t.sampleDue = every, t.w.now+every
	t.sampleTimer.set(t.sampleDue)
}

// wakeSampling lets samples go on: while nothing moves they are taken, but say nothing.
func (t *Team) wakeSampling() {
	if !t.sampleTimer.armed() {
		t.sampleDue = (t.w.now/sampleIdle + 1) * sampleIdle
		t.sampleEvery = sampleIdle
		t.sampleTimer.set(t.sampleDue)
	}
	if !t.hostsTimer.armed() {
		t.hostsTimer.set(t.w.now + hostsEvery)
	}
}

const (
	hostsEvery = time.Second      // how often neighbours are read
	hostHeard  = 10 * time.Second // how long ago a host was heard
	hostsMax   = 8
)

// watchHosts tells the loop of the adapter's neighbours.
func (t *Team) watchHosts() {
	if t.moved != t.seenHosts {
		t.seenHosts = t.moved
		t.hostsTimer.set(t.w.now + hostsEvery)
	}
	t.tellTargets()
}

// tellTargets tells the loop whom its link watches may ask.
func (t *Team) tellTargets() {
	now := monitor.Targets{Gateways: t.Gateways}
	if !t.NoHosts {
		var heard []*neighbour
		for _, n := range t.Stack.neighbours {
			if n.state == reachable && t.w.now-n.confirmed <= hostHeard {
				heard = append(heard, n)
			}
		}
		slices.SortFunc(heard, func(a, b *neighbour) int {
			return cmp.Or(cmp.Compare(b.confirmed, a.confirmed), a.ip.Compare(b.ip))
		})
		for _, n := range heard[:min(len(heard), hostsMax)] {
			now.Hosts = append(now.Hosts, monitor.Target{IP: n.ip})
		}
	}
	if slices.Equal(now.Gateways, t.targets.Gateways) && slices.Equal(now.Hosts, t.targets.Hosts) {
		return
	}
	t.targets = now
	t.handle(team.WatchTargets{Targets: now})
}

// Gateway makes hosts the adapter's default gateways, by their addresses of a family.
func (t *Team) Gateway(v6 bool, hosts ...*Stack) {
	t.Gateways = nil
	for _, h := range hosts {
		t.Gateways = append(t.Gateways, monitor.Target{IP: h.Address(v6)})
	}
	t.tellTargets()
}

// watchOf returns what the link watches say about a NIC.
func (t *Team) watchOf(n *NIC) (verdict, reason string) {
	for _, m := range t.Status().Members {
		if m.Name == n.Name && m.Watch != nil {
			return m.Watch.Verdict, m.Watch.Reason
		}
	}
	return monitor.Unknown.String(), ""
}

// Uses reports whether a NIC sends or receives for the team.
func (t *Team) Uses(n *NIC) bool {
	for _, id := range t.ids {
		if t.members[id].nic == n {
			return t.plan.Distributing.Has(id)
		}
	}
	return false
}
