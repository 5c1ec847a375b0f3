// SPDX-License-Identifier: MIT

package spread

import "nicteam/internal/frame"

// RxMode is what the adapter's stack wants to receive besides frames to the adapter's own address, as the kernel would
// program it into a NIC (ndo_set_rx_mode): the multicast list, IFF_ALLMULTI and IFF_PROMISC.
type RxMode struct {
	Groups      []frame.MAC // sorted
	AllMulti    bool
	Promiscuous bool
	VLANs       bool // there are VLANs on the adapter
}

// MaxGroups is how many groups a NIC is asked for one by one; beyond it the NIC is asked for all. NICs have filters for
// some tens and accept more by a hash or all of them, and each entry takes the kernel's configuration lock.
const MaxGroups = 256
