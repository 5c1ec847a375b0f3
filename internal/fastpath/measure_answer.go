package fastpath

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// answer is a netlink message; body is after its header.
type answer struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

// cutAnswer takes the first message off b.
func cutAnswer(b []byte) (m answer, rest []byte, ok bool) {
	e := binary.NativeEndian
	if len(b) < headerLen {
		return m, nil, false
	}
	n := uint64(e.Uint32(b))
	if n < headerLen || n > uint64(len(b)) {
		return m, nil, false
	}
	m = answer{kind: e.Uint16(b[4:]), flags: e.Uint16(b[6:]), seq: e.Uint32(b[8:]), body: b[headerLen:n]}
	return m, b[min((n+3)&^3, uint64(len(b))):], true
}

// cutAttribute takes the first attribute off b.
func cutAttribute(b []byte) (kind uint16, value, rest []byte, ok bool) {
	const head = unix.NLA_HDRLEN
	e := binary.NativeEndian
	if len(b) < head {
		return 0, nil, nil, false
	}
	n := int(e.Uint16(b))
	if n < head || n > len(b) {
		return 0, nil, nil, false
	}
	return e.Uint16(b[2:]) & typeMask, b[head:n], b[min((n+3)&^3, len(b)):], true
}

// attribute returns the value of the first attribute of a kind in b, nil where there is none.
func attribute(b []byte, kind uint16) []byte {
	for {
		k, v, rest, ok := cutAttribute(b)
		if !ok {
			return nil
		}
		if k == kind {
			return v
		}
		b = rest
	}
}

// typeMask leaves the flags out.
const typeMask = 0x3fff

// Of linux/rtnetlink.h, gen_stats.h and if_link.h.
const (
	tcRoot        = 0xffffffff
	tcaStats2     = 7
	tcaStatsBasic = 1 // struct gnet_stats_basic
	tcaStatsQueue = 3 // struct gnet_stats_queue
	statsLink64   = 1 // struct rtnl_link_stats64
)

// take notes what an answer says of a NIC.
func (t *traffic) take(m answer) {
	if m.kind != unix.RTM_NEWSTATS || len(m.body) < statsLen {
		return
	}
	if b := attribute(m.body[statsLen:], statsLink64); len(b) >= 64 {
		e := binary.NativeEndian
		t.sent, t.abandoned, t.known = e.Uint64(b[24:]), e.Uint64(b[56:]), true
	}
}

// rootQueue returns what an answer says of the queueing discipline of a NIC as a whole.
func rootQueue(m answer) (index int32, q queue, ok bool) {
	e := binary.NativeEndian
	if m.kind != unix.RTM_NEWQDISC || len(m.body) < tcLen || e.Uint32(m.body[12:]) != tcRoot {
		return 0, q, false
	}
	stats := attribute(m.body[tcLen:], tcaStats2)
	passed, b := attribute(stats, tcaStatsBasic), attribute(stats, tcaStatsQueue)
	if len(passed) < 8 || len(b) < 12 {
		return 0, q, false
	}
	return int32(e.Uint32(m.body[4:])), queue{passed: e.Uint64(passed), waiting: e.Uint32(b[4:]), dropped: e.Uint32(b[8:])}, true
}
