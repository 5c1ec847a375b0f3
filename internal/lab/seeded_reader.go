// SPDX-License-Identifier: MIT

package lab

import "encoding/binary"

// seededReader is an endless reader of octets that follow from a seed (splitmix64), so both ends of a
// transfer know them.
type seededReader struct {
	state uint64
	word  [8]byte
	left  int // octets of word not read yet
}

func newSeededReader(seed uint64) *seededReader { return &seededReader{state: seed} }

func (n *seededReader) Read(p []byte) (int, error) {
	for i := 0; i < len(p); {
		if n.left == 0 {
			n.state += 0x9e3779b97f4a7c15
			binary.LittleEndian.PutUint64(n.word[:], mix(n.state))
			n.left = 8
		}
		c := copy(p[i:], n.word[8-n.left:])
		n.left -= c
		i += c
	}
	return len(p), nil
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
