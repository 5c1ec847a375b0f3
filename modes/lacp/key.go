// SPDX-License-Identifier: MIT

package lacp

// The layout of a key is that of the bonding driver: duplex in bit 0, the speed's class above it, the administrative
// part from bit 6 on.
const (
	keyFull      = 1 << 0
	keyClass     = 1
	keyUser      = 6
	keyClassMask = 1<<(keyUser-keyClass) - 1
)

// classes are the speeds with a class of their own; a class is the index, 0 unknown.
var classes = [...]uint64{
	0, 1e6, 10e6, 100e6, 1e9, 2_500e6, 5e9, 10e9, 14e9, 20e9, 25e9, 40e9, 50e9, 56e9, 100e9, 200e9, 400e9, 800e9,
}

// classOf returns the class of a speed: the nearest one in classes that is not higher.
func classOf(bps uint64) uint8 {
	c := 0
	for c+1 < len(classes) && classes[c+1] <= bps {
		c++
	}
	if c == 0 && bps > 0 {
		c = 1
	}
	return uint8(c)
}

// keyOf returns a port's key.
func keyOf(user uint16, class uint8, half bool) uint16 {
	k := user<<keyUser | uint16(class)<<keyClass
	if !half {
		k |= keyFull
	}
	return k
}

// classIn returns the class in a key.
func classIn(key uint16) uint8 { return uint8(key >> keyClass & keyClassMask) }
