// SPDX-License-Identifier: MIT

package dhcp

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the clock of leases: the time of day when the process started, and since then a clock that goes on while the
// host is suspended and that nobody sets.
func Now() time.Time { return startedAt.Add(bootTime() - startedBoot) }

var startedAt, startedBoot = time.Now().Round(0), bootTime()

func bootTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
