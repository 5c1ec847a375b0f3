// SPDX-License-Identifier: MIT

package monitor

import (
	"context"
	"time"
)

// Link is what the kernel says about a NIC at one moment.
type Link struct {
	Exists   bool
	AdminUp  bool
	Carrier  bool
	SpeedBps uint64 // 0 unknown
	Duplex   string // "full", "half" or "" unknown
}

// Source reads links; internal/host implements it for the kernel, internal/sim for a simulated network.
type Source interface {
	// Changes delivers after any link event of the namespace, coalesced, until ctx ends. It subscribes
	// anew by itself when the kernel closes the subscription, and then delivers once.
	Changes(ctx context.Context) <-chan struct{}
	// Carrier reads the NIC's carrier as it is now, cheaply (called every 10 ms for each member).
	// A NIC that is gone or administratively down has none.
	Carrier(index int) bool
	// Link reads everything.
	Link(index int) Link
}

// LinkState is the report of a link watch on one NIC: a state, not an edge. A later one replaces it.
type LinkState struct {
	Index  int    // ifindex
	Watch  string // which watch says so, e.g. "carrier"
	Up     bool
	Reason string // when not up: "carrier lost", "administratively down", "NIC is gone"
	At     time.Time
	Link   Link
}

// Watcher reports the current link state until ctx ends, and again whenever it changes.
type Watcher interface {
	Watch(ctx context.Context, report func(LinkState)) error
	String() string
}
