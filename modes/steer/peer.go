// SPDX-License-Identifier: MIT

package steer

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
)

// Peer is a host that was given a member to send to.
type Peer struct {
	Address       netip.Addr // the peer's
	Ours          netip.Addr // the adapter's address that it talks to
	MAC           frame.MAC  // the peer's
	VLAN          uint16     // 0 untagged
	Member        int
	Since         time.Time // Member is its member
	Seen          time.Time // it last sent a request, an answer or anything else
	RxBps         uint64    // what it sends to us, bit/s, smoothed
	Notifications uint64    // sent to it without a request
}
