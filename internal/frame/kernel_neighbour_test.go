// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Linux, told by one host's frames alone, moves an entry of its cache at once: also right after it was made, when it
// would ignore an answer that it did not ask for (locktime).
func TestKernelTakesUnicastAnnouncements(t *testing.T) {
	if testing.Short() || os.Getuid() != 0 {
		t.Skip("needs root for a network namespace of its own: run make test as root")
	}
	// The thread stays locked, so it and its namespace end with the test's goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace: %v", err)
	}
	k := neighbourhood(t)

	// As an answer to a request, but nobody asked, and not gratuitous.
	unasked := func(mac MAC) []byte {
		b := UnicastARP(mac, ours4, k.mac, 0)
		a := peer4.As4()
		k.mac.Put(b, EtherLen+arpTarget)
		copy(b[EtherLen+24:], a[:])
		return b
	}
	ask4 := func(mac MAC) []byte {
		b := GratuitousARP(mac, ours4, 0)
		a := peer4.As4()
		copy(b[EtherLen+24:], a[:])
		return b
	}
	for _, c := range []struct {
		name        string
		ip          netip.Addr
		first, then []byte
		want        MAC
	}{
		{"answer that nobody asked for", ours4, ask4(mac1), unasked(mac2), mac1},
		{"gratuitous reply", ours4, ask4(mac1), UnicastARP(mac2, ours4, k.mac, 0), mac2},
		{"advertisement", ours6, UnicastNS(mac1, ours6, k.mac, peer6, 0),
			UnicastNA(mac2, ours6, false, k.mac, peer6, 0), mac2},
		{"advertisement of a router", ours6, UnicastNS(mac1, ours6, k.mac, peer6, 0),
			UnicastNA(mac2, ours6, true, k.mac, peer6, 0), mac2},
		{"solicitation", ours6, UnicastNS(mac1, ours6, k.mac, peer6, 0), UnicastNS(mac2, ours6, k.mac, peer6, 0), mac2},
	} {
		t.Run(c.name, func(t *testing.T) {
			k.forget(t, c.ip)
			k.send(t, c.first)
			if got := k.wait(t, c.ip, func(m MAC) bool { return m == mac1 }); got != mac1 {
				t.Fatalf("%v is at %v to begin with", c.ip, got)
			}
			k.send(t, c.then)
			if got := k.wait(t, c.ip, func(m MAC) bool { return m == mac2 }); got != c.want {
				t.Errorf("%v is at %v, want %v", c.ip, got, c.want)
			}
		})
	}
}

// kernel is a NIC of the kernel's with addresses, and a socket at the other end of its cable.
type kernel struct {
	link netlink.Link
	nl   *netlink.Handle // of the namespace, as a test of a test runs on another thread
	mac  MAC
	fd   int
}

func neighbourhood(t *testing.T) *kernel {
	t.Helper()
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "nb0"}, PeerName: "nb1"}); err != nil {
		t.Fatalf("add veth pair: %v", err)
	}
	links := map[string]netlink.Link{}
	for _, name := range []string{"nb0", "nb1"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		links[name] = l
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nl.Close)
	k := &kernel{link: links["nb1"], nl: nl, mac: MACFrom(links["nb1"].Attrs().HardwareAddr)}
	for _, a := range []string{peer4.String() + "/24", peer6.String() + "/64"} {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(k.link, addr); err != nil {
			t.Fatalf("add address %s: %v", a, err)
		}
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}),
		Ifindex: links["nb0"].Attrs().Index}); err != nil {
		t.Fatal(err)
	}
	k.fd = fd
	awaitUp(t, "nb0")
	awaitUp(t, "nb1")
	return k
}

func (k *kernel) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := unix.Write(k.fd, b); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// forget deletes the kernel's entry for an address.
func (k *kernel) forget(t *testing.T, ip netip.Addr) {
	t.Helper()
	if k.at(t, ip) == 0 {
		return
	}
	if err := k.nl.NeighDel(&netlink.Neigh{LinkIndex: k.link.Attrs().Index, IP: net.IP(ip.AsSlice())}); err != nil {
		t.Fatalf("delete the entry of %v: %v", ip, err)
	}
}

// at returns where the kernel has an address, 0 for nowhere.
func (k *kernel) at(t *testing.T, ip netip.Addr) MAC {
	t.Helper()
	family := unix.AF_INET
	if ip.Is6() {
		family = unix.AF_INET6
	}
	entries, err := k.nl.NeighList(k.link.Attrs().Index, family)
	if err != nil {
		t.Fatalf("list neighbours: %v", err)
	}
	for _, e := range entries {
		if got, ok := netip.AddrFromSlice(e.IP); ok && got.Unmap() == ip {
			return MACFrom(e.HardwareAddr)
		}
	}
	return 0
}

// wait returns where the kernel has an address as soon as that is right, or after a part of the locktime.
func (k *kernel) wait(t *testing.T, ip netip.Addr, right func(MAC) bool) MAC {
	t.Helper()
	for end := time.Now().Add(300 * time.Millisecond); ; {
		m := k.at(t, ip)
		if right(m) || time.Now().After(end) {
			return m
		}
		time.Sleep(5 * time.Millisecond)
	}
}
