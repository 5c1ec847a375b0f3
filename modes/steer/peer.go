package steer

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
)

// Peer is a host that was told by which member to reach us.
type Peer struct {
	Address netip.Addr // the peer's
	Ours    netip.Addr // the adapter's address that it talks to
	MAC     frame.MAC  // the peer's
	VLAN    uint16     // 0 untagged
	Member  int
	Since   time.Time // Member has been its member
	Seen    time.Time // it last asked or answered, or sent anything
	RxBps   uint64    // what it sends us, bit/s, smoothed
	Told    uint64    // how often it was told without having asked
}
