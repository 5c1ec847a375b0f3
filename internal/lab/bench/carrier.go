// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
)

// carrierCounter reads when a NIC of a host loses its carrier, the first moment at which a team can know. sysfs counts
// losses without a lock; link events come up to a second late, and a netlink request waits for RTNL.
//
// Cutting a cable takes some 0.3 ms: frames are lost from its start, and the carrier goes towards its end, so neither
// start nor end of the call is that moment.
type carrierCounter struct {
	name string
	file int
}

// openCarrierCounters opens the counters of a host's NICs.
func openCarrierCounters(h *lab.Host, names ...string) (all []*carrierCounter, err error) {
	defer func() {
		if err != nil {
			closeCarrierCounters(all)
			err = fmt.Errorf("watch carriers of %s: %w", h.Name, err)
		}
	}()
	return all, h.Do(func() error {
		// A sysfs mount of its own: it shows the devices of the namespace in which it was mounted.
		fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(fs)
		if err := unix.FsconfigCreate(fs); err != nil {
			return err
		}
		sys, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(sys)
		for _, name := range names {
			f, err := unix.Openat(sys, "class/net/"+name+"/carrier_down_count", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, &carrierCounter{name: name, file: f})
		}
		return nil
	})
}

func closeCarrierCounters(all []*carrierCounter) {
	for _, c := range all {
		unix.Close(c.file)
	}
}

// losses returns how often the carrier was lost.
func (c *carrierCounter) losses() (count [16]byte, err error) {
	_, err = unix.Pread(c.file, count[:], 0)
	return count, err
}

// timeLoss calls cut and returns when the flag had gone, some 20 µs late. On a machine that is so busy that the reader
// has to wait, that is at most when cut returned.
func (c *carrierCounter) timeLoss(cut func() error) (time.Time, error) {
	before, err := c.losses()
	if err != nil {
		return time.Time{}, fmt.Errorf("read carrier losses of %s: %w", c.name, err)
	}
	type moment struct {
		at  time.Time
		err error
	}
	seen, ready := make(chan moment, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and ends with the goroutine, as its timers and priority are not others'
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -10)
		close(ready)
		for start := time.Now(); ; {
			now, err := c.losses()
			at := time.Now()
			switch {
			case err != nil:
				seen <- moment{err: err}
				return
			case now != before:
				seen <- moment{at: at}
				return
			case at.Sub(start) > time.Second:
				seen <- moment{err: fmt.Errorf("carrier of %s is still there 1s after the cut", c.name)}
				return
			}
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 10_000}, nil)
		}
	}()
	<-ready
	if err := cut(); err != nil {
		return time.Time{}, err
	}
	returned := time.Now()
	m := <-seen
	if m.at.After(returned) {
		m.at = returned
	}
	return m.at, m.err
}
