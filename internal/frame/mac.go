// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"fmt"
	"net"
)

// MAC is a 48-bit Ethernet address in the low bits of a word, first octet highest, so that one instruction compares
// addresses. The zero MAC means none.
type MAC uint64

// Broadcast is ff:ff:ff:ff:ff:ff.
const Broadcast MAC = 0xffff_ffff_ffff

// MACFrom returns the address in hw, or zero unless hw has six octets.
func MACFrom(hw net.HardwareAddr) MAC {
	if len(hw) != 6 {
		return 0
	}
	return MACAt(hw, 0)
}

// MACAt reads the address at b[off:off+6]; b must be long enough.
func MACAt(b []byte, off int) MAC {
	return MAC(binary.BigEndian.Uint32(b[off:]))<<16 | MAC(binary.BigEndian.Uint16(b[off+4:]))
}

// ParseMAC reads the colon form.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return 0, fmt.Errorf("parse MAC %q: want six octets such as 02:00:00:00:00:01", s)
	}
	return MACFrom(hw), nil
}

// Put writes the address to b[off:off+6].
func (m MAC) Put(b []byte, off int) {
	binary.BigEndian.PutUint32(b[off:], uint32(m>>16))
	binary.BigEndian.PutUint16(b[off+4:], uint16(m))
}

// Multicast reports whether the group bit is set, as in the broadcast address.
func (m MAC) Multicast() bool { return m&(1<<40) != 0 }

// HardwareAddr returns the six octets.
func (m MAC) HardwareAddr() net.HardwareAddr {
	b := make(net.HardwareAddr, 6)
	m.Put(b, 0)
	return b
}

// String returns the colon form, "" for the zero MAC.
func (m MAC) String() string {
	if m == 0 {
		return ""
	}
	return m.HardwareAddr().String()
}

// MarshalText writes the colon form.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the colon form; empty text is the zero MAC.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*m = 0
		return nil
	}
	*m, err = ParseMAC(string(b))
	return err
}
