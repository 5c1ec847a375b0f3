// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxParts are the most segments that Linux accepts in a UDP super-frame (UDP_MAX_SEGMENTS, 64 before 6.9).
	maxParts = 64
	// maxRuns are the most flows that are joined at a time.
	maxRuns = 4
	// maxPadded is the longest frame that may have octets behind its datagram: Ethernet's padding.
	maxPadded = minFrame
	// udpChecksum is the offset of the checksum in a UDP header.
	udpChecksum = 6

	ipDontFragment = 0x4000
)

// Merger joins UDP frames of one batch to super-frames, which Segment or a NIC turns back into the same frames: the
// kernel handles a super-frame at little more than the cost of one frame. The zero value is ready.
//
// Frames are joined in place: the payload of a frame is appended to the first frame of its run, whose headers become
// those of the super-frame when the run ends. A flow is not reordered: the run has the place of its first frame, and
// the first frame of the flow that does not fit ends it. Frames of other flows between a run's frames follow the run.
type Merger struct {
	runs [maxRuns]mergeRun
	n    int
	next int // the run that a new one replaces
}

// mergeRun are frames of one flow joined to one, or a first frame alone.
type mergeRun struct {
	index, way     int
	b              []byte // [virtio header][frame], which grows
	l3, l4, data   int    // offsets in the frame
	end            int    // of the datagram; padding follows while the run is one frame
	size           int    // payload of each part except the last
	parts          int
	id             uint16 // of the last IPv4 packet
	ended, checked bool   // no more parts; the first part's checksum is right
}

// Add adds the next frame of a batch, b being [virtio header][frame] with the headers v and h. Only frames with equal
// way are joined. It returns the index of the frame that b was appended to, and its new length, or -1 if b stays a
// frame of its own. Later frames may be appended to b, up to its capacity: do not use b before Finish.
func (m *Merger) Add(index int, b []byte, v Vnet, h *Headers, way int) (to, length int) {
	if h.IPProto != ProtoUDP || h.L3 == 0 {
		return -1, 0
	}
	var r mergeRun
	if !r.start(index, b, v, h, way) {
		// A fragment or a super-frame, perhaps of a flow that has a run.
		m.Finish()
		return -1, 0
	}
	for i := range m.n {
		o := &m.runs[i]
		if o.way != way || !o.sameFlow(&r) {
			continue
		}
		if o.join(&r, v) {
			return o.index, len(o.b)
		}
		o.finish()
		*o = r
		return -1, 0
	}
	if m.n < maxRuns {
		m.runs[m.n] = r
		m.n++
		return -1, 0
	}
	m.runs[m.next].finish()
	m.runs[m.next] = r
	m.next = (m.next + 1) % maxRuns
	return -1, 0
}

// Finish ends all runs. The frames are complete.
func (m *Merger) Finish() {
	for i := range m.n {
		m.runs[i].finish()
		m.runs[i].b = nil
	}
	m.n, m.next = 0, 0
}

// start makes r a run of one frame. It returns false for a frame that cannot be joined.
func (r *mergeRun) start(index int, b []byte, v Vnet, h *Headers, way int) bool {
	if v.GSOType != GSONone || h.Fragment || h.Payload == 0 {
		return false
	}
	f := b[VnetLen:]
	n := int(binary.BigEndian.Uint16(f[h.L4+4:]))
	end := h.L4 + n
	if n <= 8 || end > len(f) || end < len(f) && len(f) > maxPadded+TagLen*int(h.VLANs) {
		return false
	}
	if v.Flags&NeedsCsum != 0 {
		if int(v.CsumStart) != h.L4 || v.CsumOffset != udpChecksum {
			return false
		}
	} else if f[h.L4+udpChecksum]|f[h.L4+udpChecksum+1] == 0 {
		return false
	}
	ip := f[h.L3:h.L4]
	if h.EtherType == TypeIPv4 {
		// Options are not supported. The header's checksum is computed again, so it must be right.
		if len(ip) != 20 || int(binary.BigEndian.Uint16(ip[2:])) != 20+n || Fold(Sum(0, ip)) != 0xffff {
			return false
		}
		r.id = binary.BigEndian.Uint16(ip[4:])
	} else if len(ip) != 40 || int(binary.BigEndian.Uint16(ip[4:])) != n {
		return false
	}
	r.index, r.way, r.b = index, way, b
	r.l3, r.l4, r.data, r.end = h.L3, h.L4, h.Payload, end
	r.size, r.parts = n-8, 1
	return true
}

func (r *mergeRun) v4() bool { return r.l4-r.l3 == 20 }

// sameFlow compares addresses and ports: frames with equal ones must keep their order.
func (r *mergeRun) sameFlow(o *mergeRun) bool {
	from := 12
	if !r.v4() {
		from = 8
	}
	return r.l4-r.l3 == o.l4-o.l3 &&
		bytes.Equal(r.b[VnetLen+r.l3+from:VnetLen+r.l4+4], o.b[VnetLen+o.l3+from:VnetLen+o.l4+4])
}

// join appends o, one frame of r's flow with the virtio header v, to r.
func (r *mergeRun) join(o *mergeRun, v Vnet) bool {
	if r.ended || r.parts == maxParts || o.size > r.size || !r.sameHeaders(o) {
		return false
	}
	// The IPv4 length counts from l3, the IPv6 one from l4.
	from := r.l3
	if !r.v4() {
		from = r.l4
	}
	if r.end+o.size-from > 65535 || VnetLen+r.end+o.size > cap(r.b) {
		return false
	}
	if !r.checked {
		var first Vnet
		first.Unmarshal(r.b)
		if !r.checksumOK(first) {
			r.ended = true
			return false
		}
		r.checked = true
	}
	if !o.checksumOK(v) {
		return false
	}
	r.b = append(r.b[:VnetLen+r.end], o.b[VnetLen+o.data:VnetLen+o.end]...)
	r.end += o.size
	r.id = o.id
	r.parts++
	r.ended = o.size < r.size
	return true
}

// sameHeaders compares the header fields that the parts of a super-frame share.
func (r *mergeRun) sameHeaders(o *mergeRun) bool {
	if r.l3 != o.l3 {
		return false
	}
	a, b := r.b[VnetLen:VnetLen+r.l4], o.b[VnetLen:VnetLen+r.l4]
	if !bytes.Equal(a[:r.l3], b[:r.l3]) {
		return false
	}
	a, b = a[r.l3:], b[r.l3:]
	if !r.v4() {
		return bytes.Equal(a[:4], b[:4]) && a[7] == b[7]
	}
	// Version, length and TOS; flags, TTL and protocol.
	if a[0] != b[0] || a[1] != b[1] || !bytes.Equal(a[6:10], b[6:10]) {
		return false
	}
	// Segments get ascending ids. Ids of packets with DF have no meaning (RFC 6864).
	return binary.BigEndian.Uint16(a[6:])&ipDontFragment != 0 || o.id == r.id+1
}

// checksumOK reports whether the checksum of r, which is one frame, is right or not finished yet. Joined frames get new
// checksums, so a wrong one would become right.
func (r *mergeRun) checksumOK(v Vnet) bool {
	if v.Flags&(NeedsCsum|DataValid) != 0 {
		return true
	}
	f := r.b[VnetLen:]
	return Fold(Sum(PseudoSum(f, r.l3, ProtoUDP, r.end-r.l4), f[r.l4:r.end])) == 0xffff
}

// finish writes the headers of the super-frame, if it has more than one part.
func (r *mergeRun) finish() {
	if r.parts < 2 {
		return
	}
	v := Vnet{Flags: NeedsCsum, GSOType: GSOUDPL4, HdrLen: uint16(r.data), GSOSize: uint16(r.size),
		CsumStart: uint16(r.l4), CsumOffset: udpChecksum}
	v.Marshal(r.b)
	f := r.b[VnetLen:]
	ip, udp := f[r.l3:r.l4], f[r.l4:]
	if r.v4() {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(f)-r.l3))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], Checksum(ip))
	} else {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(udp)))
	}
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint16(udp[udpChecksum:], Fold(PseudoSum(f, r.l3, ProtoUDP, len(udp))))
}
