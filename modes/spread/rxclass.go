// SPDX-License-Identifier: MIT

package spread

import (
	"encoding/binary"

	"nicteam/internal/frame"
)

// RxClassCount is the number of classes that received bytes are counted by.
const RxClassCount = 4096

// RxBytes are bytes received, by class.
type RxBytes [RxClassCount]uint64

// RxClass returns the class of a received frame, by its sender and the address of ours that it is for. h is what
// frame.Parse found in b.
func RxClass(h *frame.Headers, b []byte) int {
	x := mix(hashStart, uint64(h.Src))
	switch {
	case h.L3 == 0 || h.EtherType == frame.TypeARP:
	case h.EtherType == frame.TypeIPv4:
		x = mix(x, uint64(binary.BigEndian.Uint32(b[h.L3+16:])))
	default:
		x = mix(x, binary.BigEndian.Uint64(b[h.L3+24:]))
		x = mix(x, binary.BigEndian.Uint64(b[h.L3+32:]))
	}
	return int(finish(x) % RxClassCount)
}

// RxClassOf is RxClass for a peer and an address of ours, of 4 or 16 octets.
func RxClassOf(peer frame.MAC, ours []byte) int {
	x := mix(hashStart, uint64(peer))
	if len(ours) == 4 {
		x = mix(x, uint64(binary.BigEndian.Uint32(ours)))
	} else {
		x = mix(x, binary.BigEndian.Uint64(ours))
		x = mix(x, binary.BigEndian.Uint64(ours[8:]))
	}
	return int(finish(x) % RxClassCount)
}
