// SPDX-License-Identifier: MIT

package frame

import "sync"

// superBuffers are buffers for a super-frame with its virtio header.
var superBuffers = sync.Pool{New: func() any { b := make([]byte, 0, VnetLen+EtherLen+2*TagLen+65535); return &b }}

// Regroup is Segment, except that it joins the segments of a UDP tunnel's super-frame, which are the tunnel's
// datagrams, to UDP super-frames: more devices accept these than super-frames of tunnels. It emits [virtio
// header][frame], which emit may change. It does not join if the outer UDP header has no checksum, which a UDP
// super-frame always has, or the outer IP header has options or extensions.
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

// appendSegment appends seg, a finished segment of the same super-frame as r's first, to r. It returns false if it does
// not fit.
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
