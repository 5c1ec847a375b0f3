// SPDX-License-Identifier: MIT

package host

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// TestGiveBackIsAnnounced: peers that hold another NIC's MAC for an address learn its own again.
func TestGiveBackIsAnnounced(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; ip addr add 10.8.0.1/24 dev nb; ip "+
			"link set nb down")
	h := w.open(nil)
	must(t, takeover(w, h))
	na, err := h.nic("na")
	must(t, err)
	peer := listen(t, "pna")
	must(t, finish(w, h))
	heard := map[string]bool{}
	for _, b := range peer() {
		heard[string(b)] = true
	}
	for _, tt := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"an address", frame.GratuitousARP(na.MAC, netip.MustParseAddr("10.9.0.1"), 0), true},
		{"an address of IPv6", frame.UnsolicitedNA(na.MAC, netip.MustParseAddr("fd09::1"), forwardsIPv6("na"), 0),
			true},
		{"an address of another NIC", frame.GratuitousARP(na.MAC, netip.MustParseAddr("10.8.0.1"), 0), false},
	} {
		if heard[string(tt.frame)] != tt.want {
			t.Errorf("%s: announced %v, want %v", tt.name, !tt.want, tt.want)
		}
	}
	if n, err := h.nic("nb"); err != nil || n.AdminUp {
		t.Errorf("nb is up %v: %v", n.AdminUp, err)
	}
}

// listen opens a packet socket on a NIC and returns a function that reads the received frames.
func listen(t *testing.T, nic string) func() [][]byte {
	t.Helper()
	all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index(t, nic)}))
	return func() (list [][]byte) {
		for {
			b := make([]byte, 2048)
			n, _, err := unix.Recvfrom(fd, b, 0)
			if err != nil {
				return list
			}
			list = append(list, b[:n])
		}
	}
}

func index(t *testing.T, nic string) int {
	t.Helper()
	l, err := net.InterfaceByName(nic)
	must(t, err)
	return l.Index
}
