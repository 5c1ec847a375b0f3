// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// In every version the kernel reports a group that it joins as is done here, but for the number of the IPv4 packet.
func TestReportsAreTheKernels(t *testing.T) {
	if testing.Short() || os.Getuid() != 0 {
		t.Skip("needs root for a network namespace of its own: run make test as root")
	}
	// The thread stays locked, so it and its namespace end with the test's goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace: %v", err)
	}
	_, out := wire(t)
	l, err := netlink.LinkByName("seg0")
	if err != nil {
		t.Fatal(err)
	}
	mac := MACFrom(l.Attrs().HardwareAddr)
	own4, own6 := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fe80::9")
	list, err := netlink.AddrList(l, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list { // reports come from one that is no link-local address of the kernel's own
		if err := netlink.AddrDel(l, &a); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"10.9.0.1/24", "fe80::9/64"} {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, setting, group string
		report               func(mac MAC, src netip.Addr, version int, groups []netip.Addr) [][]byte
		src                  netip.Addr
	}{
		{"IGMPv3", "ipv4/conf/seg0/force_igmp_version", "239.1.2.3", IGMPReports, own4},
		{"IGMPv2", "ipv4/conf/seg0/force_igmp_version", "239.129.2.4", IGMPReports, own4},
		{"IGMPv1", "ipv4/conf/seg0/force_igmp_version", "239.1.4.5", IGMPReports, own4},
		{"MLDv2", "ipv6/conf/seg0/force_mld_version", "ff05::1:2", MLDReports, own6},
		{"MLDv1", "ipv6/conf/seg0/force_mld_version", "ff05::2:3", MLDReports, own6},
	} {
		// The thread's namespace is not that of a goroutine of its own.
		version := c.name[len(c.name)-1:]
		if err := os.WriteFile("/proc/sys/net/"+c.setting, []byte(version), 0); err != nil {
			t.Fatal(err)
		}
		// What it has to say of several groups at about that time it says in one report: then the next group is joined.
		got, want := "", "-"
		g := netip.MustParseAddr(c.group)
		for left := 5; left > 0 && got != want; left-- {
			reports := c.report(mac, c.src, int(version[0]-'0'), []netip.Addr{g})
			if len(reports) != 1 {
				t.Fatalf("%s: %d reports of one group", c.name, len(reports))
			}
			want = unnumbered(reports[0])
			join(t, g, l.Attrs().Index)
			got = reportOf(t, out, reports[0][:12], g)
			g = g.Next()
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%s: -kernel +ours\n%s", c.name, diff)
		}
	}
}

// reportOf returns the next frame with the MACs that reports a group last, unnumbered; "" if none comes within a while,
// in which the kernel says all that it has to say.
func reportOf(t *testing.T, fd int, macs []byte, g netip.Addr) string {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		if b := next(t, fd, macs, end); b != nil && slices.Equal(group(b), g.AsSlice()) {
			return unnumbered(b)
		}
	}
	return ""
}

// join joins a group on a link until the test ends.
func join(t *testing.T, g netip.Addr, index int) {
	t.Helper()
	family := unix.AF_INET
	if g.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if g.Is6() {
		to := unix.IPv6Mreq{Multiaddr: g.As16(), Interface: uint32(index)}
		err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &to)
	} else {
		to := unix.IPMreqn{Multiaddr: g.As4(), Ifindex: int32(index)}
		err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &to)
	}
	if err != nil {
		t.Fatalf("join %v: %v", g, err)
	}
}

// group is the last group that a report names.
func group(b []byte) []byte {
	var h Headers
	Parse(b, &h)
	if h.EtherType == TypeIPv4 {
		end := h.L3 + int(binary.BigEndian.Uint16(b[h.L3+2:]))
		return b[end-4 : end]
	}
	return b[len(b)-16:]
}

// unnumbered is a frame without the number of its IPv4 packet, and without the sum over that and without padding.
func unnumbered(b []byte) string {
	b = slices.Clone(b)
	var h Headers
	Parse(b, &h)
	if h.EtherType == TypeIPv4 {
		copy(b[h.L3+4:], []byte{0, 0})
		copy(b[h.L3+10:], []byte{0, 0})
		b = b[:h.L3+int(binary.BigEndian.Uint16(b[h.L3+2:]))]
	}
	return hex.EncodeToString(b)
}
