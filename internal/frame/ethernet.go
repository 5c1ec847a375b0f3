// SPDX-License-Identifier: MIT

package frame

import "encoding/binary"

// minFrame is the shortest frame on a wire, without FCS. Not every driver pads.
const minFrame = 60

// newFrame returns a frame with room zero octets behind its header, and their offset. vlan is that of a Station; the
// header has a tag unless it is 0.
func newFrame(dst, src MAC, vlan, etherType uint16, room int) (b []byte, at int) {
	at = EtherLen
	if vlan != 0 {
		at += TagLen
	}
	b = make([]byte, max(at+room, minFrame))
	dst.Put(b, 0)
	src.Put(b, 6)
	if vlan != 0 {
		tpid := uint16(TypeVLAN)
		if vlan&ServiceTag != 0 {
			tpid = TypeQinQ
		}
		binary.BigEndian.PutUint16(b[12:], tpid)
		binary.BigEndian.PutUint16(b[14:], vlan&0xfff)
	}
	binary.BigEndian.PutUint16(b[at-2:], etherType)
	return b, at
}
