// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
)

// A frame in memory has in front VnetRoom octets of no meaning, then struct virtio_net_hdr, as packet sockets read and
// write it. A TAP's header has VnetLen octets, because it describes tunnels too: VnetRoom is for that.
const (
	VnetLen   = 24
	VnetRoom  = VnetLen - virtioLen
	virtioLen = 10
)

// Flags of a Vnet.
const (
	NeedsCsum uint8 = 1 // the checksum at CsumStart+CsumOffset is the pseudo-header's sum only
	DataValid uint8 = 2 // the receiver of the frame verified its checksum
)

// GSO types of a Vnet. GSOECN is a bit of a TCP type, those of GSOTunnel of any.
const (
	GSONone  uint8 = 0
	GSOTCPv4 uint8 = 1
	GSOUDP   uint8 = 3 // UDP fragmentation offload, removed from Linux; never received
	GSOTCPv6 uint8 = 4
	GSOUDPL4 uint8 = 5
	GSOECN   uint8 = 0x80

	// One of the two bits is set in a super-frame of a UDP tunnel from a TAP. Packet sockets do not set them.
	GSOTunnel uint8 = gsoTunnel4 | gsoTunnel6
)

// Vnet is struct virtio_net_hdr: the segmentation and checksum that the sender of a frame left to others. Offsets count
// from the first octet of the frame.
type Vnet struct {
	Flags, GSOType        uint8
	HdrLen                uint16 // a hint only; Linux may give the whole linear part
	GSOSize               uint16 // payload octets a segment
	CsumStart, CsumOffset uint16
}

// Unmarshal reads the header from b[VnetRoom:VnetLen]; shorter input gives the zero Vnet.
func (v *Vnet) Unmarshal(b []byte) {
	if len(b) < VnetLen {
		*v = Vnet{}
		return
	}
	b = b[VnetRoom:VnetLen]
	v.Flags, v.GSOType = b[0], b[1]
	v.HdrLen = binary.LittleEndian.Uint16(b[2:])
	v.GSOSize = binary.LittleEndian.Uint16(b[4:])
	v.CsumStart = binary.LittleEndian.Uint16(b[6:])
	v.CsumOffset = binary.LittleEndian.Uint16(b[8:])
}

// Marshal writes the header to b[VnetRoom:VnetLen]; b must be long enough.
func (v Vnet) Marshal(b []byte) { v.marshal(b[VnetRoom:VnetLen]) }

func (v Vnet) marshal(b []byte) {
	_ = b[virtioLen-1]
	b[0], b[1] = v.Flags, v.GSOType
	binary.LittleEndian.PutUint16(b[2:], v.HdrLen)
	binary.LittleEndian.PutUint16(b[4:], v.GSOSize)
	binary.LittleEndian.PutUint16(b[6:], v.CsumStart)
	binary.LittleEndian.PutUint16(b[8:], v.CsumOffset)
}

// GSOAt returns the GSO type, without the ECN bit, of the Vnet in b[:VnetLen].
func GSOAt(b []byte) uint8 { return b[VnetRoom+1] &^ GSOECN }

// GSO returns the GSO type without the ECN bit and those of GSOTunnel.
func (v Vnet) GSO() uint8 { return v.GSOType &^ (GSOECN | GSOTunnel) }

// WireCount returns the frames, and their bytes without FCS, that a frame of n bytes with the headers h becomes on the
// wire: one, unless it is a super-frame.
func WireCount(v Vnet, h *Headers, n int) (frames, bytes int) {
	if v.GSO() == GSONone || v.GSOSize == 0 {
		return 1, n
	}
	hdr := h.Payload
	if h.Inner != 0 {
		hdr = h.Inner
	}
	if hdr == 0 {
		hdr = int(v.HdrLen)
	}
	if hdr >= n {
		return 1, n
	}
	size := int(v.GSOSize)
	frames = (n - hdr + size - 1) / size
	return frames, n + (frames-1)*hdr
}

// InsertVLAN puts a tag that the kernel stripped from a received frame back in, as the outer one. buf[at:] is a Vnet
// and its frame; it moves Vnet and MACs TagLen octets to the front, adapts the Vnet's offsets, and returns the new
// offset. If there is no room before at, or no frame, it changes nothing and returns false.
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
