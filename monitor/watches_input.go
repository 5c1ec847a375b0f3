// SPDX-License-Identifier: MIT

package monitor

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
)

// WatchConfig is what a team configures of its link watches.
type WatchConfig struct {
	Specs    []Spec        // none: carrier alone
	Any      bool          // one watch that is satisfied is enough
	Interval time.Duration // between two asks of a target by a member
	Misses   int           // asks without an answer until a member is down

	AdmissionWait time.Duration // how long a member whose link came waits for its first answer

	// Team tells this team's probe frames from those of others.
	Team uint64

	// Aggregated: the members are one link for the switch (802.3ad). Answers may arrive by any member, and members do
	// not hear each other.
	Aggregated bool

	// Group: a switch takes the members for one link without LACP (a static LAG). It returns answers by whichever
	// member it chooses, and members do not hear each other.
	Group bool

	// Adapter is the adapter's MAC: an answer from it proves nothing.
	Adapter frame.MAC
}

// The defaults of a WatchConfig.
const (
	defaultInterval      = time.Second
	defaultMisses        = 3
	defaultAdmissionWait = 3 * time.Second
)

// withDefaults returns c with defaults for what is not set.
func (c WatchConfig) withDefaults() WatchConfig {
	if c.Interval <= 0 {
		c.Interval = defaultInterval
	}
	if c.Misses <= 0 {
		c.Misses = defaultMisses
	}
	if c.AdmissionWait <= 0 {
		c.AdmissionWait = defaultAdmissionWait
	}
	return c
}

// Target is an address that can be asked.
type Target struct {
	IP   netip.Addr
	VLAN uint16 // 0 untagged
}

// Targets are the addresses that the adapter knows at a moment.
type Targets struct {
	Gateways []Target // of its default routes
	Hosts    []Target // heard from lately, best first, at most 8

	Neighbours []Neighbour // which MAC the adapter's stack has of them, as far as it is known

	Own []netip.Addr // IPv4 addresses of this host on the adapter: who asks for one of these wants this host
}

// Neighbour is a target and its MAC.
type Neighbour struct {
	Target
	MAC frame.MAC
}

// macOf returns the MAC that the adapter's stack has of a target, 0 unknown.
func (t *Targets) macOf(at Target) frame.MAC {
	for _, n := range t.Neighbours {
		if n.Target == at {
			return n.MAC
		}
	}
	return 0
}

// WatchedMember is a member as the watches see it.
type WatchedMember struct {
	ID   int
	Name string

	// MAC is the address by which the member asks: its own one. While another member receives for that one, asking by
	// it would teach the switch the wrong port: then it is [AskMAC], which the NIC must accept. 0: it cannot be asked.
	MAC frame.MAC

	// Quiet: it asks nothing now, because nobody but its own NIC could receive the answer, and that one does not. What
	// is known of it stays.
	Quiet bool

	Link  bool      // it has carrier and is open
	Since time.Time // since when
	Sends bool      // it distributes in the Plan
}

// AskMAC returns the address by which a member asks while another one receives for its own address: a locally
// administered one that follows from it, and is unlike that of a NIC or a bridge that was derived the usual way.
func AskMAC(own frame.MAC) frame.MAC { return AskMACs(own, 0) }

// AskMACs returns the n-th of such addresses, n < 43. n is in the last byte, which is all that some switches hash, and
// scrambled in another one, so that those of two members differ, and sums of bytes and CRCs do, too.
func AskMACs(own frame.MAC, n int) frame.MAC {
	at := frame.MAC(n % 43)
	return (own | 0x0200_0000_0000) ^ 0x5a00_0000 ^ at*6<<32 ^ at
}

// Moved is what a member has moved: totals of frames to and from single hosts, without what the watches send and hear.
type Moved struct {
	ID     int
	TX, RX uint64

	// Unsent: frames of the watches that were sent by the member have not left its NIC.
	Unsent bool

	// What samples since the last one that was told have shown (Hearing.Tell); zero: there were none.
	Heard   time.Time     // when it last heard a frame
	Sent    uint64        // frames that it has sent since then
	Silence time.Duration // the longest one that ended by itself while it sent
}

// Traffic is one sample of the data path's counters.
type Traffic struct {
	Members     []Moved
	Retransmits uint64 // total of TCP segments that this host sent again
	Late        bool   // the sample was taken late: this process stood still, and the sample says nothing
}

// Send is a frame to be sent by a member.
type Send struct {
	Member int
	Frame  []byte // the receiver owns it
}
