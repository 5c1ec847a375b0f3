// SPDX-License-Identifier: MIT

package spread

// Send is a frame for the wire by one member.
type Send struct {
	Member int
	Frame  []byte
}
