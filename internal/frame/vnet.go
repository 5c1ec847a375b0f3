package frame

import (
	"encoding/binary"
)

// What lies in front of a frame in memory: VnetRoom octets of no meaning, then struct virtio_net_hdr, which a packet
// socket takes and gives. A TAP's header is VnetLen long, for it has more to say of tunnels: the room is there for it.
const (
	VnetLen   = 24
	VnetRoom  = VnetLen - virtioLen
	virtioLen = 10
)

// Flags of a Vnet.
const (
	NeedsCsum uint8 = 1 // the checksum at CsumStart+CsumOffset holds the pseudo-header's sum only
	DataValid uint8 = 2 // whoever received the frame has verified its checksum
)

// GSO types of a Vnet; GSOECN is a bit beside a TCP type, those of GSOTunnel are beside any.
const (
	GSONone  uint8 = 0
	GSOTCPv4 uint8 = 1
	GSOUDP   uint8 = 3 // fragmentation of UDP, withdrawn from Linux; never sent
	GSOTCPv6 uint8 = 4
	GSOUDPL4 uint8 = 5
	GSOECN   uint8 = 0x80

	// One of the two bits is set where a TAP gives a super-frame of a tunnel by UDP. A packet socket does not tell.
	GSOTunnel uint8 = gsoTunnel4 | gsoTunnel6
)

// Vnet is struct virtio_net_hdr: what the sender of a frame left for others to do. The
// offsets count from the first octet of the frame.
type Vnet struct {
	Flags, GSOType        uint8
	HdrLen                uint16 // a hint only; Linux may say the whole linear part
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

// WireCount returns how many frames, and bytes without FCS, a frame of n bytes with the
// headers h is on the wire's side of segmentation. What is not a super-frame is itself.
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
