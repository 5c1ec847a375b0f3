// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Sum adds the 16-bit big-endian words of b to sum (RFC 1071), an odd last octet padded with zero. Only the last part
// of a message may have odd length. Fold reduces the result.
func Sum(sum uint64, b []byte) uint64 {
	// Eight octets at a time are four words at a time: 2^16, 2^32 and 2^48 are congruent to 1 modulo 2^16-1, and so is
	// 2^64, so the carry is added again.
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

// Fold reduces a sum to 16 bits, not complemented.
func Fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffff_ffff
	sum = sum>>16&0xffff + sum>>32 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// Checksum returns the Internet checksum of b.
func Checksum(b []byte) uint16 { return ^Fold(Sum(0, b)) }

// PseudoSum returns the sum of the pseudo-header of an upper-layer message of length octets in the IP packet at b[l3:].
// The addresses are those of the fixed header, which in a source-routed packet are not the final destination.
func PseudoSum(b []byte, l3 int, proto uint8, length int) uint64 {
	var sum uint64
	if b[l3]>>4 == 4 {
		sum = Sum(0, b[l3+12:l3+20])
	} else {
		sum = Sum(0, b[l3+8:l3+40])
	}
	return addSum(sum, uint64(proto)+uint64(length))
}

// addSum adds x and the carry.
func addSum(sum, x uint64) uint64 {
	sum, c := bits.Add64(sum, x, 0)
	return sum + c
}

// ErrChecksum says that a checksum to be finished is not within the frame.
var ErrChecksum = errors.New("checksum out of frame")

// FinishChecksum finishes the checksum of the frame b in place, as a NIC does, if v has NeedsCsum. It is for single
// frames: for a super-frame use Segment. The caller clears the flag.
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

// mangle returns 0xffff for zero, as the kernel does for every protocol (CSUM_MANGLED_0): in UDP zero means no
// checksum.
func mangle(sum uint16) uint16 {
	if sum == 0 {
		return 0xffff
	}
	return sum
}
