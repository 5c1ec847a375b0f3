// SPDX-License-Identifier: MIT

package lab_test

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// addTAP makes a TAP of a host.
func addTAP(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	labtest.Must(t, h.Do(func() error {
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: netlink.TUNTAP_MODE_TAP})
	}))
}

func addressOf(t *testing.T, h *lab.Host, name string) net.HardwareAddr {
	t.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(t, err)
	return l.Attrs().HardwareAddr
}

// TestUdevGivesAddresses has it leave alone what was there, and what was given an address at birth.
func TestUdevGivesAddresses(t *testing.T) {
	h := labtest.Host(t, "box")
	addTAP(t, h, "before")
	was := addressOf(t, h, "before")
	u := labtest.Udev(t, h, time.Millisecond)
	set := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	labtest.Must(t, h.Handle().LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "set", HardwareAddr: set},
		PeerName: "other", PeerHardwareAddr: set}))
	addTAP(t, h, "late") // after the others, so that they have been looked at
	labtest.Eventually(t, "a new TAP has an address of udev's", func() bool {
		gave := u.Assigned()
		return len(gave) == 1 && gave[0].Name == "late" && bytes.Equal(gave[0].MAC, addressOf(t, h, "late"))
	})
	for name, want := range map[string]net.HardwareAddr{"before": was, "set": set, "other": set} {
		if got := addressOf(t, h, name); !bytes.Equal(got, want) {
			t.Errorf("%s has %v, had %v", name, got, want)
		}
	}
}
