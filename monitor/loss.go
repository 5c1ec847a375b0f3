// SPDX-License-Identifier: MIT

package monitor

import (
	"slices"
	"time"
)

// A data path that looks at the kernel's own state of a NIC with each frame knows of a loss before any reading. Reading
// asks the driver, under the kernel's configuration lock, which others may hold for milliseconds. So its report is
// believed at once, and confirmed by a reading after.
//
// A reading may contradict it: the carrier is back already, or the driver answers from the hardware, ahead of the
// kernel's state or against it for good. The reading wins, as it does without such reports. So that a NIC does not go
// down and up with each frame, a report is not believed, but leads to a reading,
//   - for settleTime after a reading has found the carrier again,
//   - for doubtTime after a reading has contradicted a report.
const (
	settleTime = 100 * time.Millisecond
	doubtTime  = 10 * time.Second
)

// Lost takes the report that a NIC has no carrier, or, with down, that it is administratively down. It returns what is
// to be believed, as if Watch had reported it; false if it is no news or not believed. In any case all carriers are
// read as soon as possible. It does not wait for the kernel.
//
// A report of Watch that was on its way has an earlier LinkState.At.
func (c *Carrier) Lost(index int, down bool) (s LinkState, believed bool) {
	defer c.ReadNow()
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.nics, func(n *nic) bool { return n.index == index })
	if i < 0 {
		return s, false
	}
	n, now := c.nics[i], time.Now()
	if !n.known || !n.up || now.Before(n.doubtedUntil) {
		return s, false
	}
	n.set(false)
	n.unconfirmed, n.changed = true, false
	signal(c.describeWanted)
	s = n.state(now)
	if down {
		s.Reason, s.Link.AdminUp = ReasonAdmin, false
	}
	n.reported = s
	return s, true
}

// read takes what a reading has found, and reports whether that is a change. The caller holds the mutex.
func (n *nic) read(up bool, now time.Time) (changed bool) {
	if n.unconfirmed && up {
		n.doubt(now.Add(doubtTime))
	}
	n.unconfirmed = false
	if n.known && up == n.up {
		return false
	}
	if up {
		n.doubt(now.Add(settleTime))
	}
	n.set(up)
	return true
}

func (n *nic) doubt(until time.Time) {
	if n.doubtedUntil.Before(until) {
		n.doubtedUntil = until
	}
}
