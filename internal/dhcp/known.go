// SPDX-License-Identifier: MIT

package dhcp

import "nicteam/internal/frame"

// KnownClientIDs returns the client identifiers that another client may have used for its lease of a NIC, the most
// likely first.
func KnownClientIDs(nic string, mac frame.MAC) [][]byte {
	return [][]byte{MACClientID(mac), nil}
}
