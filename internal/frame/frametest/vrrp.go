// SPDX-License-Identifier: MIT

package frametest

import (
	"fmt"
	"net/netip"

	"nicteam/internal/frame"
)

// Advert returns a VRRP advertisement of virtual router 51 for IPv4 (RFC 9568), from a MAC and an address. Its end is a
// number of 16 digits, which tells it from others.
func Advert(mac frame.MAC, from netip.Addr, n int) []byte {
	b := []byte{0x01, 0, 0x5e, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0x08, 0,
		0x45, 0xc0, 0, 44, 0, 0, 0, 0, 255, 112, 0, 0}
	mac.Put(b, 6)
	b = append(append(b, from.AsSlice()...), 224, 0, 0, 18)
	sum := 0
	for i := 14; i < len(b); i += 2 {
		sum += int(b[i])<<8 | int(b[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	b[24], b[25] = byte(sum>>8), byte(sum)
	return fmt.Appendf(append(b, 0x31, 51, 100, 1, 0, 10, 0, 0), "%016d", n)
}
