package rtnl

import "golang.org/x/sys/unix"

// MonotonicTime is the time since boot without suspended time, as the kernel stamps addresses.
func MonotonicTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// BootTime is the time since boot, suspended time included, as address lifetimes count it.
func BootTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
