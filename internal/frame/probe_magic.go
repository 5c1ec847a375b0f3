// SPDX-License-Identifier: MIT

package frame

import "bytes"

// TypeProbe is the EtherType of probe frames: the first of the two for experiments on a LAN (IEEE 802, clause 9.2.3),
// which others may use as well.
const TypeProbe = 0x88b5

// ProbeMagic is what the payload of a probe frame begins with.
const ProbeMagic = "nicteam"

// IsProbe reports whether b, in which Parse has found h, is a probe frame of a nicteam, of whichever team and version.
func IsProbe(h *Headers, b []byte) bool {
	return h.EtherType == TypeProbe && bytes.HasPrefix(b[EtherLen+int(h.VLANs)*TagLen:], []byte(ProbeMagic))
}
