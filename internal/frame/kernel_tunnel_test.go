// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A super-frame of a tunnel goes by a TAP and a bridge to a NIC without any offload: the kernel takes the header that
// MarshalTunnel makes, and cuts the frame into what Segment emits, octet by octet.
func TestTunnelSegmentsAreTheKernels(t *testing.T) {
	if testing.Short() || os.Getuid() != 0 {
		t.Skip("needs root for a network namespace of its own: run make test as root")
	}
	// The thread stays locked, so it and its namespace end with the test's goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace: %v", err)
	}
	_, out := wire(t)
	in := tunnelTAP(t)
	awaitBridge(t, in, out)

	v4, w4 := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	v6, w6 := netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")
	payload := make([]byte, 4000)
	for i := range payload {
		payload[i] = byte(i * i >> 3)
	}
	tcp := packet{src: v4, dst: w4, proto: ProtoTCP, id: 0xfffe, seq: 0xfffff000, flags: 0x19, options: 12}
	for _, c := range []struct {
		name string
		k    tunnel
	}{
		{"VXLAN", tunnel{kind: "vxlan", outer: packet{src: v4, dst: w4, id: 0xffff}, inner: tcp}},
		{"no outer checksum", tunnel{kind: "vxlan", outer: packet{src: v4, dst: w4, noCsum: true}, inner: tcp}},
		{"Geneve over IPv6", tunnel{kind: "geneve", outer: packet{src: v6, dst: w6}, inner: tcp}},
		{"TCP over IPv6 inside", tunnel{kind: "vxlan", outer: packet{src: v4, dst: w4},
			inner: packet{src: v6, dst: w6, proto: ProtoTCP, flags: 0x98}}},
		{"UDP inside", tunnel{kind: "vxlan", outer: packet{src: v4, dst: w4},
			inner: packet{src: v4, dst: w4, proto: ProtoUDP}}},
		{"a tag inside", tunnel{kind: "vxlan", outer: packet{src: v4, dst: w4},
			inner: packet{src: v4, dst: w4, proto: ProtoTCP, tags: []uint16{7}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := c.k
			k.inner.payload, k.inner.partial = payload, true
			f, _, _, _, _ := k.build(true)
			v := k.header(1000)
			var want []string
			if err := Segment(v, f, func(s []byte) bool {
				want = append(want, fmt.Sprintf("%x", s))
				return true
			}); err != nil {
				t.Fatal(err)
			}
			b := append(make([]byte, VnetLen), f...)
			if !v.MarshalTunnel(b) {
				t.Fatal("no header")
			}
			if _, err := unix.Write(in, b); err != nil {
				t.Fatalf("write to the TAP: %v", err)
			}
			var got []string
			for range want {
				got = append(got, fmt.Sprintf("%x", receive(t, out, f[:12])))
			}
			if d := cmp.Diff(got, want); d != "" {
				t.Errorf("-kernel +ours\n%s", d)
			}
		})
	}
}

// tunnelTAP makes a TAP whose frames a bridge sends by seg0, and returns its descriptor.
func tunnelTAP(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	req, err := unix.NewIfreq("tap0")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, VnetLen); err != nil {
		t.Fatal(err)
	}
	const plain = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_USO4 | unix.TUN_F_USO6
	const tunnels = 0x80 | 0x100 // TUN_F_UDP_TUNNEL_GSO, TUN_F_UDP_TUNNEL_GSO_CSUM
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, plain|tunnels) != nil {
		t.Skip("needs Linux 6.17 for super-frames of tunnels in TAPs")
	}
	br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	if err := netlink.LinkAdd(br); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tap0", "seg0", "br0"} {
		l, err := netlink.LinkByName(name)
		if err == nil && name != "br0" {
			err = netlink.LinkSetMaster(l, br)
		}
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return fd
}

// awaitBridge waits until what is written to the TAP comes out at the other end.
func awaitBridge(t *testing.T, in, out int) {
	t.Helper()
	probe := append(make([]byte, VnetLen), packet{tags: []uint16{99}}.ether()...)
	probe[VnetLen+5] ^= 1 // none that the test looks for
	probe = append(probe, make([]byte, 60)...)
	b := make([]byte, 1<<16)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := unix.Write(in, probe); err != nil && err != unix.EIO {
			t.Fatal(err)
		}
		for {
			n, _, err := unix.Recvfrom(out, b, unix.MSG_DONTWAIT)
			if err != nil {
				break
			}
			if n >= EtherLen && bytes.Equal(b[:12], probe[VnetLen:VnetLen+12]) {
				return
			}
		}
	}
	t.Fatal("the bridge does not forward")
}
