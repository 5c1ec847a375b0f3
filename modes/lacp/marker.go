// SPDX-License-Identifier: MIT

package lacp

import "nicteam/internal/frame"

// Marker is marker information or a marker response. When the response arrives, all frames that the port sent before
// the information have arrived.
type Marker struct {
	Response    bool
	Port        uint16    // of the requester
	System      frame.MAC // of the requester
	Transaction uint32
	length      byte // of the field, 0 is markerLen
}

// Offsets in a marker's frame.
const (
	atMarker    = 16
	atEndMarker = 32
)

// Types of its only field.
const (
	markerInformation = 1
	markerResponse    = 2
)

// The length of the field is 16, with type and length, and some partners accept no other. The Linux bonding driver and
// others write 22; the response has the length of the information.
const (
	markerLen    = 16
	markerLenOld = 22
)

// Frame returns the marker as a frame from src.
func (m *Marker) Frame(src frame.MAC) []byte {
	b := slowFrame(src, subtypeMarker)
	b[atVersion] = 1
	b[atMarker], b[atMarker+1] = markerInformation, markerLen
	if m.Response {
		b[atMarker] = markerResponse
	}
	if m.length != 0 {
		b[atMarker+1] = m.length
	}
	put16(b[18:], m.Port)
	m.System.Put(b, 20)
	put16(b[26:], uint16(m.Transaction>>16))
	put16(b[28:], uint16(m.Transaction))
	return b
}

// ParseMarker reads a marker's frame. The error is ErrMalformed.
func ParseMarker(b []byte) (Marker, error) {
	if len(b) < FrameLen || subtype(b) != subtypeMarker ||
		b[atMarker] != markerInformation && b[atMarker] != markerResponse ||
		b[atMarker+1] != markerLen && b[atMarker+1] != markerLenOld || b[atEndMarker] == 0 && b[atEndMarker+1] != 0 {
		return Marker{}, ErrMalformed
	}
	return Marker{Response: b[atMarker] == markerResponse, Port: get16(b[18:]), System: frame.MACAt(b, 20),
		Transaction: uint32(get16(b[26:]))<<16 | uint32(get16(b[28:])), length: b[atMarker+1]}, nil
}
