package rtnl

import "golang.org/x/sys/unix"

// MonotonicTime returns the time since boot without suspend in ns (CLOCK_MONOTONIC): the clock of cstamp and tstamp.
func MonotonicTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// BootTime returns the time since boot with suspend in ns (CLOCK_BOOTTIME): address lifetimes go on during suspend.
func BootTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
