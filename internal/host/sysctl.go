package host

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The sysctls of a NIC that are recorded; those that a member is given stand in strip.go.
var recordedSysctls = []string{
	"ipv4/arp_ignore",
	"ipv4/rp_filter",
	"ipv6/accept_dad",
	"ipv6/accept_ra",
	"ipv6/addr_gen_mode",
	"ipv6/autoconf",
	disableIPv6,
	"ipv6/mtu",
	"ipv6/use_tempaddr",
}

const (
	arpIgnore   = "ipv4/arp_ignore"
	acceptDAD   = "ipv6/accept_dad"
	disableIPv6 = "ipv6/disable_ipv6"
	ipv6MTU     = "ipv6/mtu"
)

// sysctlPath is where a NIC's sysctl is; /proc/sys/net shows the namespace of the calling thread.
func sysctlPath(nic, key string) string {
	family, name, _ := strings.Cut(key, "/")
	return "/proc/sys/net/" + family + "/conf/" + nic + "/" + name
}

// readSysctl returns false where the kernel has no such setting, or where it was never set (stable_secret).
func readSysctl(nic, key string) (string, bool) {
	b, err := os.ReadFile(sysctlPath(nic, key))
	return strings.TrimSpace(string(b)), err == nil
}

// writeSysctl writes a value that differs; settings that are not there are left alone.
func (h *Host) writeSysctl(nic, key, value string) error {
	old, ok := readSysctl(nic, key)
	if !ok || old == value {
		return nil
	}
	what := fmt.Sprintf("set %s of %s to %s", key, nic, value)
	if err := h.at(what); err != nil {
		return err
	}
	// No O_CREATE and no O_TRUNC: this is a setting, not a file.
	f, err := os.OpenFile(sysctlPath(nic, key), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// restoreSysctls writes what was recorded, but for those named.
func (h *Host) restoreSysctls(nic string, values map[string]string, but ...string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(but, key) {
			continue
		}
		if err := h.writeSysctl(nic, key, values[key]); err != nil {
			if dead(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func recordSysctls(nic string) map[string]string {
	values := map[string]string{}
	for _, key := range recordedSysctls {
		if v, ok := readSysctl(nic, key); ok {
			values[key] = v
		}
	}
	return values
}

// monotonicTime is the time since boot without suspended time, as the kernel stamps addresses.
func monotonicTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// bootTime is the time since boot, suspended time included, as address lifetimes count it.
func bootTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// errDead is what tests return at a point of death: nothing more may be done after it.
var errDead = errors.New("died here")

func dead(err error) bool { return errors.Is(err, errDead) }
