// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// tunnelCarrier is what a connection runs over: the team's addresses, or a tunnel between them.
type tunnelCarrier struct {
	name      string
	box, peer string // the connection's addresses
	// device is one end of the tunnel; nil: no tunnel.
	device func(a netlink.LinkAttrs, local, remote net.IP) netlink.Link
	over6  bool // the tunnel's addresses are the IPv6 ones
}

// tunnelCarriers are the tunnels that Linux segments and merges, with and without outer checksums.
func tunnelCarriers() []tunnelCarrier {
	vxlan := func(check bool) func(netlink.LinkAttrs, net.IP, net.IP) netlink.Link {
		return func(a netlink.LinkAttrs, local, remote net.IP) netlink.Link {
			return &netlink.Vxlan{LinkAttrs: a, VxlanId: 7, SrcAddr: local, Group: remote, Port: 4789,
				UDPCSum: check, UDP6ZeroCSumTx: !check, UDP6ZeroCSumRx: !check}
		}
	}
	tunnel := func(name string, device func(netlink.LinkAttrs, net.IP, net.IP) netlink.Link) tunnelCarrier {
		return tunnelCarrier{name: name, box: "10.77.0.1", peer: "10.77.0.2", device: device}
	}
	over6 := func(c tunnelCarrier) tunnelCarrier { c.name, c.over6 = c.name+" over IPv6", true; return c }
	carrying6 := func(c tunnelCarrier) tunnelCarrier {
		c.name, c.box, c.peer = "IPv6 in "+c.name, "fd77::1", "fd77::2"
		return c
	}
	gre := tunnel("GRE", func(a netlink.LinkAttrs, l, r net.IP) netlink.Link {
		return &netlink.Gretun{LinkAttrs: a, Local: l, Remote: r}
	})
	gretap := tunnel("GRETAP", func(a netlink.LinkAttrs, l, r net.IP) netlink.Link {
		return &netlink.Gretap{LinkAttrs: a, Local: l, Remote: r}
	})
	return []tunnelCarrier{
		{name: "IPv4", box: box4.String(), peer: peer4.String()},
		{name: "IPv6", box: box6.String(), peer: peer6.String()},
		tunnel("VXLAN", vxlan(true)),
		tunnel("VXLAN without checksum", vxlan(false)),
		carrying6(tunnel("VXLAN", vxlan(true))),
		over6(tunnel("VXLAN", vxlan(true))),
		over6(tunnel("VXLAN without checksum", vxlan(false))),
		tunnel("Geneve", func(a netlink.LinkAttrs, _, r net.IP) netlink.Link {
			return &netlink.Geneve{LinkAttrs: a, ID: 7, Remote: r, Dport: 6081}
		}),
		gre,
		over6(gre),
		tunnel("GRE with checksum", func(a netlink.LinkAttrs, l, r net.IP) netlink.Link {
			const checksum = 0x8000
			return &netlink.Gretun{LinkAttrs: a, Local: l, Remote: r, IFlags: checksum, OFlags: checksum}
		}),
		gretap,
		over6(gretap),
		tunnel("IPIP", func(a netlink.LinkAttrs, l, r net.IP) netlink.Link {
			return &netlink.Iptun{LinkAttrs: a, Local: l, Remote: r}
		}),
		carrying6(tunnel("SIT", func(a netlink.LinkAttrs, l, r net.IP) netlink.Link {
			return &netlink.Sittun{LinkAttrs: a, Local: l, Remote: r}
		})),
	}
}

// open makes both ends of the tunnel. It returns false if the kernel has no such device.
func (c tunnelCarrier) open(w *world) (done func(), ok bool) {
	w.t.Helper()
	if c.device == nil {
		return func() {}, true
	}
	var undo []func() error
	done = func() {
		for _, f := range undo {
			labtest.Check(w.t, f())
		}
	}
	ends := [2]net.IP{net.IP(box4.AsSlice()), net.IP(peer4.AsSlice())}
	if c.over6 {
		ends = [2]net.IP{net.IP(box6.AsSlice()), net.IP(peer6.AsSlice())}
	}
	for i, h := range []*lab.Host{w.box, w.peer} {
		a := netlink.NewLinkAttrs()
		a.Name = "tun"
		l := c.device(a, ends[i], ends[1-i])
		switch err := h.Handle().LinkAdd(l); err {
		case nil:
		case unix.EOPNOTSUPP:
			done()
			return nil, false
		default:
			w.t.Fatalf("add %s: %v", c.name, err)
		}
		undo = append(undo, func() error { return h.Handle().LinkDel(l) })
		// Leaves room for tags.
		labtest.Must(w.t, h.Handle().LinkSetMTU(l, 1400))
		labtest.Must(w.t, h.Up("tun"))
		address, bits := []string{c.box, c.peer}[i], "/24"
		if strings.Contains(address, ":") {
			bits = "/64"
		}
		labtest.Must(w.t, h.SetAddr("tun", address+bits))
	}
	return done, true
}

// checksumErrors returns the number of wrong checksums that a host's stack has counted.
func checksumErrors(t testing.TB, h *lab.Host) (n int) {
	t.Helper()
	for _, file := range []string{"snmp", "snmp6"} {
		var b []byte
		labtest.Must(t, h.Do(func() (err error) {
			b, err = os.ReadFile("/proc/thread-self/net/" + file)
			return err
		}))
		var names []string
		for line := range bytes.Lines(b) {
			f := strings.Fields(string(line))
			if file == "snmp6" {
				names, f = []string{f[0]}, f[1:]
			} else if names == nil || len(f) != len(names) || f[0] != names[0] {
				names = f
				continue
			}
			for i, name := range names {
				v := 0
				if strings.Contains(name, "Csum") {
					fmt.Sscan(f[i], &v)
				}
				n += v
			}
		}
	}
	return n
}

// TestOffloadMatrix sends a file each way over each kind of tunnel and tag, with NICs that segment and merge or do not:
// it arrives intact, neither end counts a wrong checksum, and the team has refused no frame.
func TestOffloadMatrix(t *testing.T) {
	t.Parallel()
	if !hasTCX(t) {
		t.Skip("needs Linux 6.6 for tcx, which puts the tags on")
	}
	labtest.Tool(t, "ethtool", "ethtool")
	tags := []struct {
		name string
		tags []tag
	}{
		{"no tag", nil},
		{"VID 0", []tag{{0x8100, 5, 0}}},
		{"VLAN", []tag{{0x8100, 0, 100}}},
		{"QinQ", []tag{{0x88a8, 1, 200}, {0x8100, 2, 100}}},
	}
	off := []string{"tso", "off", "gso", "off", "sg", "off", "tx", "off", "tx-udp-segmentation", "off"}
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{Cables: true}.on(path))
		w.create([]string{"eth1", "eth2"}, "--mode", "active-backup", "--primary", "eth1")
		w.awaitDatapath(path)
		// A frame of the full MTU with two tags is too long for veth, though not for a NIC.
		l, err := w.sw.Handle().LinkByName("p1")
		labtest.Must(t, err)
		labtest.Must(t, w.sw.Handle().LinkSetMTU(l, 1508))
		ethtool := func(h *lab.Host, device string, features ...string) {
			t.Helper()
			labtest.Run(t, h, "ethtool", append([]string{"-K", device}, features...)...)
		}
		for _, nics := range []struct {
			name string
			set  func()
		}{
			{"NICs that segment", func() {}},
			{"NICs that merge", func() { ethtool(w.sw.Host, "p1", off...); ethtool(w.box, "eth1", "gro", "on") }},
			{"NICs that do neither", func() { ethtool(w.box, "eth1", append(off, "gro", "off")...) }},
		} {
			nics.set()
			for _, c := range tunnelCarriers() {
				done, ok := c.open(w)
				if !ok {
					t.Logf("this kernel has no %s", c.name)
					continue
				}
				for _, tg := range tags {
					if tg.tags != nil && c.name != "IPv4" && c.name != "VXLAN" {
						continue
					}
					what := fmt.Sprintf("%s, %s, %s", nics.name, tg.name, c.name)
					undo := w.addVLANTags(map[*lab.Host]string{w.box: teamName, w.peer: "eth0"}, tg.tags)
					w.transfersClean(what, c)
					undo()
					if c.name == "VXLAN" && tg.tags != nil {
						// The same tags inside.
						undo := w.addVLANTags(map[*lab.Host]string{w.box: "tun", w.peer: "tun"}, tg.tags)
						w.transfersClean(what+" with the tags inside", c)
						undo()
					}
				}
				done()
			}
		}
		if m := w.member("eth1"); m.DropReasons["malformed"] != 0 {
			t.Errorf("frames were refused: %v", m.DropReasons)
		}
	})
}

// addVLANTags adds tags to what both hosts send, by one device each.
func (w *world) addVLANTags(devices map[*lab.Host]string, tags []tag) (undo func()) {
	w.t.Helper()
	if tags == nil {
		return func() {}
	}
	box, peer := addVLANTags(w.t, w.box, devices[w.box], tags), addVLANTags(w.t, w.peer, devices[w.peer], tags)
	return func() { box(); peer() }
}

// transfersClean sends a file each way over the carrier.
func (w *world) transfersClean(what string, c tunnelCarrier) {
	w.t.Helper()
	const size = 1 << 20
	for way, e := range map[string]struct {
		from, to *lab.Host
		address  string
	}{"in": {w.peer, w.box, c.peer}, "out": {w.box, w.peer, c.box}} {
		before := checksumErrors(w.t, w.box) + checksumErrors(w.t, w.peer)
		s, err := lab.ServeFiles(e.from, e.address)
		labtest.Must(w.t, err)
		ctx, cancel := context.WithTimeout(w.t.Context(), labtest.Patience)
		sum, _, err := s.Fetch(ctx, e.to, 1, size, nil)
		cancel()
		if err != nil {
			w.t.Fatalf("%s, %s: %v", what, way, err)
		}
		if want := s.SHA256(1, size); sum != want {
			w.t.Errorf("%s, %s: SHA-256 %s, want %s", what, way, sum, want)
		}
		if n := checksumErrors(w.t, w.box) + checksumErrors(w.t, w.peer) - before; n != 0 {
			w.t.Errorf("%s, %s: %d checksums are wrong", what, way, n)
		}
		labtest.Check(w.t, s.Close())
	}
}
