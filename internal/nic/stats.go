// SPDX-License-Identifier: MIT

package nic

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Stats are the totals since Open.
type Stats struct {
	Drops     uint64 // frames received that the socket's buffer had no room for
	Segmented uint64 // super-frames segmented in software
}

// Stats reads the totals. After Close they stay what they were last.
func (s *Socket) Stats() Stats {
	if s.drops.mayGrow(time.Now()) {
		// Reading resets the kernel's counter.
		s.withFD(func(fd int) error {
			st, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
			if err == nil {
				s.drops.total.Add(uint64(st.Drops) + s.slow.drops())
			}
			return err
		})
	}
	return Stats{Drops: s.drops.total.Load(), Segmented: s.out.segmented.Load()}
}

// drops counts the frames that a socket's buffer had no room for.
//
// Totals are read many times a second, also of a NIC that is idle. Frames are dropped behind a full buffer, so a socket
// by which nothing has come since the last reading has dropped nothing, unless nobody empties it: this is looked for
// once a second.
type drops struct {
	total   atomic.Uint64 // from PACKET_STATISTICS
	batches atomic.Uint64 // received

	readAt      atomic.Int64 // in nanoseconds; 0: never
	readBatches atomic.Uint64
}

const dropsInterval = time.Second

// mayGrow reports whether the kernel must be asked, which is then what the caller does.
func (d *drops) mayGrow(now time.Time) bool {
	n, at := d.batches.Load(), now.UnixNano()
	age := time.Duration(at - d.readAt.Load())
	if d.readBatches.Load() == n && age >= 0 && age < dropsInterval {
		return false
	}
	d.readBatches.Store(n)
	d.readAt.Store(at)
	return true
}
