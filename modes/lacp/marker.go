package lacp

import "nicteam/internal/frame"

// Marker is a question or an answer of the Marker protocol. What was sent by the port before a question has arrived
// when the answer has.
type Marker struct {
	Response    bool
	Port        uint16    // of who asks
	System      frame.MAC // of who asks
	Transaction uint32
}

const atMarker = 16

// Frame returns the marker as a frame from src.
func (m *Marker) Frame(src frame.MAC) []byte {
	b := slowFrame(src, subtypeMarker)
	b[atVersion] = 1
	b[atMarker], b[atMarker+1] = 1, 22
	if m.Response {
		b[atMarker] = 2
	}
	put16(b[18:], m.Port)
	m.System.Put(b, 20)
	put16(b[26:], uint16(m.Transaction>>16))
	put16(b[28:], uint16(m.Transaction))
	return b
}

// ParseMarker reads a marker's frame. The error is ErrMalformed.
func ParseMarker(b []byte) (Marker, error) {
	if len(b) < FrameLen || subtype(b) != subtypeMarker || b[atVersion] < 1 || !(tlv(b, atMarker, 1, 22) || tlv(b, atMarker, 2, 22)) {
		return Marker{}, ErrMalformed
	}
	return Marker{Response: b[atMarker] == 2, Port: get16(b[18:]), System: frame.MACAt(b, 20), Transaction: uint32(get16(b[26:]))<<16 | uint32(get16(b[28:]))}, nil
}
