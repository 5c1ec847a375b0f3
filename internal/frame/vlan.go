package frame

import "encoding/binary"

// InsertVLAN puts a tag that the kernel has taken out of a received frame back into it, as
// the outer one. buf[at:] is a Vnet and the frame behind it; both start TagLen octets earlier
// afterwards, and InsertVLAN returns that offset: the MACs and the Vnet move, the rest stays.
// The Vnet's offsets are set right. It returns false, having changed nothing, when there is
// no room before at or no frame.
func InsertVLAN(buf []byte, at int, tpid, tci uint16) (int, bool) {
	if at < TagLen || len(buf) < at+VnetLen+EtherLen {
		return at, false
	}
	var v Vnet
	v.Unmarshal(buf[at:])
	if v.Flags&NeedsCsum != 0 {
		v.CsumStart += TagLen
	}
	if v.HdrLen != 0 {
		v.HdrLen += TagLen
	}
	to := at - TagLen
	v.Marshal(buf[to:])
	f := to + VnetLen
	copy(buf[f:f+12], buf[f+TagLen:f+TagLen+12])
	binary.BigEndian.PutUint16(buf[f+12:], tpid)
	binary.BigEndian.PutUint16(buf[f+14:], tci)
	return to, true
}
