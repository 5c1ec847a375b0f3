package frame

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Sum adds the 16-bit big-endian words of b to sum as RFC 1071 has it, an odd last octet
// padded with zero. Only the last piece of a message may have odd length. Fold ends it.
func Sum(sum uint64, b []byte) uint64 {
	// Adding eight octets at a time is adding four words at a time: 2^16, 2^32 and 2^48
	// are all congruent to 1 modulo 2^16-1, and so is 2^64, hence the carry comes back.
	var c uint64
	for len(b) >= 32 {
		sum, c = bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum, c = bits.Add64(sum, binary.BigEndian.Uint64(b[8:]), c)
		sum, c = bits.Add64(sum, binary.BigEndian.Uint64(b[16:]), c)
		sum, c = bits.Add64(sum, binary.BigEndian.Uint64(b[24:]), c)
		sum, c = bits.Add64(sum, c, 0)
		sum += c
		b = b[32:]
	}
	for len(b) >= 8 {
		sum, c = bits.Add64(sum, binary.BigEndian.Uint64(b), 0)
		sum, c = bits.Add64(sum, c, 0)
		sum += c
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		sum, c = bits.Add64(sum, binary.BigEndian.Uint64(last[:]), 0)
		sum, c = bits.Add64(sum, c, 0)
		sum += c
	}
	return sum
}

// Fold brings a sum down to 16 bits; it is not yet complemented.
func Fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffff_ffff
	sum = sum>>16&0xffff + sum>>32 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// Checksum returns the Internet checksum of b.
func Checksum(b []byte) uint16 { return ^Fold(Sum(0, b)) }

// PseudoSum returns the sum of the pseudo-header of an upper-layer message of length octets
// in the IP packet whose header is at b[l3:]. The addresses are those in the fixed header: of
// a source-routed packet that is not the final destination.
func PseudoSum(b []byte, l3 int, proto uint8, length int) uint64 {
	var sum uint64
	if b[l3]>>4 == 4 {
		sum = Sum(0, b[l3+12:l3+20])
	} else {
		sum = Sum(0, b[l3+8:l3+40])
	}
	return addSum(sum, uint64(proto)+uint64(length))
}

// addSum adds x and keeps the carry.
func addSum(sum, x uint64) uint64 {
	sum, c := bits.Add64(sum, x, 0)
	return sum + c
}

// ErrChecksum says that a frame's request to have its checksum finished points out of the frame.
var ErrChecksum = errors.New("checksum out of frame")

// FinishChecksum does for the frame b what a NIC does when v has NeedsCsum, in place; without
// the flag it does nothing. It is for single frames: a super-frame goes through Segment.
// The caller clears the flag.
func FinishChecksum(v Vnet, b []byte) error {
	if v.Flags&NeedsCsum == 0 {
		return nil
	}
	start := int(v.CsumStart)
	at := start + int(v.CsumOffset)
	if start < EtherLen || at+2 > len(b) {
		return ErrChecksum
	}
	binary.BigEndian.PutUint16(b[at:], mangle(^Fold(Sum(0, b[start:]))))
	return nil
}

// mangle writes zero as its other form, as the kernel does for every protocol: in UDP zero
// means that there is no checksum.
func mangle(sum uint16) uint16 {
	if sum == 0 {
		return 0xffff
	}
	return sum
}
