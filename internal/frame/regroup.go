package frame

import "sync"

// superBuffers keeps buffers for one super-frame each, header in front.
var superBuffers = sync.Pool{New: func() any { b := make([]byte, 0, VnetLen+EtherLen+2*TagLen+65535); return &b }}

// Regroup is Segment, but for a super-frame of a tunnel by UDP it makes UDP super-frames of the segments, which are the
// tunnel's datagrams: few know of tunnels, and more of these. What is emitted is [virtio header][frame], and
// emit's to change. It joins nothing where the outer header has no checksum, which a UDP super-frame always has, nor where
// the outer IP header has options or extensions.
func Regroup(v Vnet, b []byte, emit func(b []byte) bool) error {
	buf := superBuffers.Get().(*[]byte)
	defer superBuffers.Put(buf)
	var h Headers
	join := Parse(b, &h) && v.Tunnelled(&h) && h.IPProto == ProtoUDP && b[h.L4+udpChecksum]|b[h.L4+udpChecksum+1] != 0
	if h.EtherType == TypeIPv4 {
		join = join && h.L4-h.L3 == 20
	} else {
		join = join && h.L4-h.L3 == 40
	}
	r := mergeRun{b: (*buf)[:VnetLen], l3: h.L3, l4: h.L4, data: h.Payload}
	stopped := false
	err := Segment(v, b, func(seg []byte) bool {
		if join && r.appendSegment(seg) {
			return true
		}
		if r.parts > 0 {
			r.finish()
			stopped = !emit(r.b)
		}
		clear((*buf)[:VnetLen])
		r.b = append((*buf)[:VnetLen], seg...)
		r.size, r.parts, r.end, r.ended = len(seg)-h.Payload, 1, len(seg), false
		return !stopped
	})
	if err == nil && !stopped {
		r.finish()
		emit(r.b)
	}
	return err
}

// appendSegment puts seg, which is a finished segment of what r's first was one of, behind r. It returns false where it does not
// fit.
func (r *mergeRun) appendSegment(seg []byte) bool {
	payload := seg[r.data:]
	if r.parts == 0 || r.parts == maxParts || r.ended || len(payload) > r.size || r.end+len(payload)-r.l3 > 65535 ||
		len(r.b)+len(payload) > cap(r.b) {
		return false
	}
	r.b = append(r.b, payload...)
	r.end += len(payload)
	r.parts++
	r.ended = len(payload) < r.size
	return true
}
