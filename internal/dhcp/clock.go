// SPDX-License-Identifier: MIT

package dhcp

import (
	"time"

	"nicteam/internal/boot"
)

// Now is the clock of leases: the time of day when the process started, and since then a clock that goes on while the
// host is suspended and that nobody sets.
func Now() time.Time { return startedAt.Add(boot.Time() - startedBoot) }

var startedAt, startedBoot = time.Now().Round(0), boot.Time()
