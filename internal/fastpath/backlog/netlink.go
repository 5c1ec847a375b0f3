// SPDX-License-Identifier: MIT

package backlog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// message is a netlink message; body follows its header.
type message struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

// cutMessage returns the first message of b and what follows it.
func cutMessage(b []byte) (m message, rest []byte, ok bool) {
	e := binary.NativeEndian
	if len(b) < nlmsgLen {
		return m, nil, false
	}
	n := uint64(e.Uint32(b))
	if n < nlmsgLen || n > uint64(len(b)) {
		return m, nil, false
	}
	m = message{kind: e.Uint16(b[4:]), flags: e.Uint16(b[6:]), seq: e.Uint32(b[8:]), body: b[nlmsgLen:n]}
	return m, b[min((n+3)&^3, uint64(len(b))):], true
}

// cutAttribute returns the first attribute of b and what follows it.
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
	return e.Uint16(b[2:]) & attributeTypeMask, b[head:n], b[min((n+3)&^3, len(b)):], true
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

// attributeTypeMask is NLA_TYPE_MASK.
const attributeTypeMask = 0x3fff

// Of linux/rtnetlink.h, gen_stats.h and if_link.h.
const (
	tcRoot        = 0xffffffff
	tcaStats2     = 7
	tcaStatsBasic = 1 // struct gnet_stats_basic
	tcaStatsQueue = 3 // struct gnet_stats_queue
	statsLink64   = 1 // struct rtnl_link_stats64
)

// parse takes the counters from an RTM_NEWSTATS message.
func (t *LinkStats) parse(m message) {
	if m.kind != unix.RTM_NEWSTATS || len(m.body) < ifStatsLen {
		return
	}
	if b := attribute(m.body[ifStatsLen:], statsLink64); len(b) >= 64 {
		e := binary.NativeEndian
		t.TxBytes, t.TxDropped, t.Present = e.Uint64(b[24:]), e.Uint64(b[56:]), true
	}
}

// parseRootQdisc returns the counters in an RTM_NEWQDISC message of a root qdisc.
func parseRootQdisc(m message) (index int32, q QdiscStats, ok bool) {
	e := binary.NativeEndian
	if m.kind != unix.RTM_NEWQDISC || len(m.body) < tcmsgLen || e.Uint32(m.body[12:]) != tcRoot {
		return 0, q, false
	}
	stats := attribute(m.body[tcmsgLen:], tcaStats2)
	passed, b := attribute(stats, tcaStatsBasic), attribute(stats, tcaStatsQueue)
	if len(passed) < 8 || len(b) < 12 {
		return 0, q, false
	}
	return int32(e.Uint32(m.body[4:])), QdiscStats{SentBytes: e.Uint64(passed), Backlog: e.Uint32(b[4:]),
		Drops: e.Uint32(b[8:])}, true
}
