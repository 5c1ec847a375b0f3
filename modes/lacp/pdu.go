// SPDX-License-Identifier: MIT

package lacp

import (
	"errors"

	"nicteam/internal/frame"
)

// Group is the destination of LACPDUs and markers. Bridges do not forward it.
const Group frame.MAC = 0x0180c2000002

// FrameLen is the length of an LACPDU's or marker's frame, without FCS.
const FrameLen = 124

// Subtypes of slow protocols.
const (
	subtypeLACP   = 1
	subtypeMarker = 2
)

// Version is the version of our PDUs. Higher versions are read as this one.
const Version = 1

// ErrMalformed: a frame is neither an LACPDU nor a marker.
var ErrMalformed = errors.New("malformed")

// PDU is an LACPDU.
type PDU struct {
	Version  uint8
	Actor    Info   // the sender
	Partner  Info   // what the sender knows of the receiver
	MaxDelay uint16 // of the sender's collector, 10 µs
}

// Offsets in a frame.
const (
	atSubtype = 14
	atVersion = 15
	atActor   = 16
	atPartner = 36
	atDelay   = 56
	atEnd     = 72
)

// Frame returns the PDU as a frame from src.
func (p *PDU) Frame(src frame.MAC) []byte {
	b := slowFrame(src, subtypeLACP)
	b[atVersion] = p.Version
	b[atActor], b[atActor+1] = 1, 20
	p.Actor.put(b[atActor+2:])
	b[atPartner], b[atPartner+1] = 2, 20
	p.Partner.put(b[atPartner+2:])
	b[atDelay], b[atDelay+1] = 3, 16
	put16(b[atDelay+2:], p.MaxDelay)
	return b
}

// ParsePDU reads an LACPDU's frame. The error is ErrMalformed. It checks the length of each field; clause 6.4.12 allows
// that, and forbids to check the version, the fields' types and reserved octets, so that later versions are understood.
// Those have fields of their own after those of version 1.
func ParsePDU(b []byte) (PDU, error) {
	if len(b) < FrameLen || subtype(b) != subtypeLACP || b[atActor+1] != 20 || b[atPartner+1] != 20 ||
		b[atDelay+1] != 16 ||
		b[atEnd] == 0 && b[atEnd+1] != 0 {
		return PDU{}, ErrMalformed
	}
	return PDU{Version: b[atVersion], Actor: infoAt(b[atActor+2:]), Partner: infoAt(b[atPartner+2:]),
		MaxDelay: get16(b[atDelay+2:])}, nil
}

// slowFrame returns an empty frame of a slow protocol.
func slowFrame(src frame.MAC, subtype byte) []byte {
	b := make([]byte, FrameLen)
	Group.Put(b, 0)
	src.Put(b, 6)
	put16(b[12:], frame.TypeSlow)
	b[atSubtype] = subtype
	return b
}

// subtype returns the subtype of a slow protocol's frame, 0 if b is none.
func subtype(b []byte) byte {
	if len(b) <= atSubtype || get16(b[12:]) != frame.TypeSlow || frame.MACAt(b, 0) != Group {
		return 0
	}
	return b[atSubtype]
}
