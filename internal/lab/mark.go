// SPDX-License-Identifier: MIT

package lab

import (
	"encoding/binary"
	"hash/crc32"
)

// Each frame of a stream carries a mark at the head of its payload:
//
//	0   CRC-32C of all that follows
//	4   run: the stream, so that a late frame of an earlier one is recognised
//	8   flow
//	12  zero
//	16  sequence number in the flow, from 0
//	24  when it was sent, CLOCK_REALTIME nanoseconds
//	32  filling up to the size
const markSize = 32

// warmFlow marks the frames that precede a stream until one arrives: then neighbours are resolved, and frames that the
// kernel queued meanwhile are not overtaken by frames that count.
const warmFlow = 1<<32 - 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type mark struct {
	run, flow uint32
	seq       uint64
	sent      int64
}

// put writes the mark to the first octets of a payload.
func (m mark) put(b []byte) {
	binary.BigEndian.PutUint32(b[4:], m.run)
	binary.BigEndian.PutUint32(b[8:], m.flow)
	binary.BigEndian.PutUint32(b[12:], 0)
	binary.BigEndian.PutUint64(b[16:], m.seq)
	binary.BigEndian.PutUint64(b[24:], uint64(m.sent))
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
}

// readMark returns false for a payload that is not as it was sent.
func readMark(b []byte) (mark, bool) {
	if len(b) < markSize || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return mark{}, false
	}
	return mark{
		run:  binary.BigEndian.Uint32(b[4:]),
		flow: binary.BigEndian.Uint32(b[8:]),
		seq:  binary.BigEndian.Uint64(b[16:]),
		sent: int64(binary.BigEndian.Uint64(b[24:])),
	}, true
}
