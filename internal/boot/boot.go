// SPDX-License-Identifier: MIT

// Package boot tells which boot of the kernel this is, and the time since.
package boot

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ID returns the kernel's boot_id, which no other boot has.
func ID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Time returns the time since the boot, suspends included (CLOCK_BOOTTIME). Nobody sets this clock.
func Time() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // not on Linux 2.6.39 or later
	}
	return time.Duration(ts.Nano())
}
