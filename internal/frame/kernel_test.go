// SPDX-License-Identifier: MIT

package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The kernel is the other implementation: given the same super-frame for a NIC without any
// offload, it puts on the wire what Segment emits, octet by octet.
func TestSegmentDoesWhatTheKernelDoes(t *testing.T) {
	if testing.Short() || os.Getuid() != 0 {
		t.Skip("needs root for a network namespace of its own: run make test as root")
	}
	// The thread stays locked, so it and its namespace end with the test's goroutine.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare network namespace: %v", err)
	}
	in, out := wire(t)

	v4, w4 := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	v6, w6 := netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")
	payload := make([]byte, 4000)
	for i := range payload {
		payload[i] = byte(i * i >> 3)
	}
	for _, c := range []struct {
		name string
		p    packet
		gso  uint8
	}{
		{"TCP over IPv4", packet{src: v4, dst: w4, proto: ProtoTCP, id: 0xfffe, seq: 0xfffff000, flags: 0x19,
			options: 12}, GSOTCPv4},
		{"TCP over IPv4 with options", packet{src: v4, dst: w4, proto: ProtoTCP, flags: 0x18, ipOpts: 8}, GSOTCPv4},
		{"TCP with CWR", packet{src: v4, dst: w4, proto: ProtoTCP, flags: 0x98}, GSOTCPv4 | GSOECN},
		{"TCP over IPv6", packet{src: v6, dst: w6, proto: ProtoTCP, flags: 0x11, options: 12}, GSOTCPv6},
		{"TCP over IPv6 with extension", packet{src: v6, dst: w6, proto: ProtoTCP, flags: 0x10, ext: 16}, GSOTCPv6},
		{"TCP in a VLAN", packet{src: v4, dst: w4, proto: ProtoTCP, flags: 0x10, tags: []uint16{0x6007}}, GSOTCPv4},
		{"UDP over IPv4", packet{src: v4, dst: w4, proto: ProtoUDP}, GSOUDPL4},
		{"UDP over IPv6", packet{src: v6, dst: w6, proto: ProtoUDP}, GSOUDPL4},
		{"single frame", packet{src: v4, dst: w4, proto: ProtoUDP}, GSONone},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := c.p
			p.payload, p.partial = payload, true
			if c.gso == GSONone {
				p.payload = payload[:777]
			}
			b, _, l4, at := p.build()
			v := Vnet{Flags: NeedsCsum, GSOType: c.gso, HdrLen: uint16(at), CsumStart: uint16(l4), CsumOffset: 16}
			if p.proto == ProtoUDP {
				v.CsumOffset = 6
			}
			if c.gso != GSONone {
				v.GSOSize = 1000
			}
			var want []string
			if err := Segment(v, b, func(s []byte) bool {
				want = append(want, fmt.Sprintf("%x", s))
				return true
			}); err != nil {
				t.Fatal(err)
			}
			head := make([]byte, VnetLen)
			v.Marshal(head)
			if _, err := unix.Write(in, append(head, b...)[VnetRoom:]); err != nil {
				t.Fatalf("send: %v", err)
			}
			var got []string
			for range want {
				got = append(got, fmt.Sprintf("%x", receive(t, out, b[:12])))
			}
			if d := cmp.Diff(got, want); d != "" {
				t.Errorf("-kernel +ours\n%s", d)
			}
		})
	}
}

// wire makes a veth pair without offloads and returns a socket at each end, the first with
// a virtio header.
func wire(t *testing.T) (in, out int) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "seg0"}, PeerName: "seg1"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatalf("add veth pair: %v", err)
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	fds := [2]int{}
	for i, name := range []string{"seg0", "seg1"} {
		features, err := e.Features(name)
		if err != nil {
			t.Fatal(err)
		}
		off := map[string]bool{}
		for _, f := range []string{"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp6-segmentation",
			"tx-udp-segmentation",
			"tx-checksum-ip-generic", "tx-scatter-gather", "rx-gro", "tx-vlan-hw-insert", "rx-vlan-hw-parse"} {
			if _, ok := features[f]; ok {
				off[f] = false
			}
		}
		if err := e.Change(name, off); err != nil {
			t.Fatalf("change features of %s: %v", name, err)
		}
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		opt := unix.PACKET_VNET_HDR
		if i == 1 {
			opt = unix.PACKET_AUXDATA
			if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, opt, 1); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL}),
			Ifindex: l.Attrs().Index}); err != nil {
			t.Fatal(err)
		}
		fds[i] = fd
	}
	awaitUp(t, "seg0")
	awaitUp(t, "seg1")
	return fds[0], fds[1]
}

// awaitUp waits until a link sends: what it is given before the kernel has seen its carrier is lost.
func awaitUp(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if l.Attrs().OperState == netlink.OperUp {
			return
		}
	}
	t.Fatalf("%s does not come up", name)
}

// receive returns the next frame with the MACs, its tag put back.
func receive(t *testing.T, fd int, macs []byte) []byte {
	t.Helper()
	b := next(t, fd, macs, time.Now().Add(10*time.Second))
	if b == nil {
		t.Fatal("no frame came")
	}
	return b
}

// next is receive until a time, about: nil if none comes.
func next(t *testing.T, fd int, macs []byte, end time.Time) []byte {
	t.Helper()
	b, oob := make([]byte, 1<<16), make([]byte, 256)
	for time.Now().Before(end) {
		n, m, _, _, err := unix.Recvmsg(fd, b, oob, 0)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		if n < EtherLen || !bytes.Equal(b[:12], macs) {
			continue // the host's own chatter
		}
		f := bytes.Clone(b[:n])
		messages, err := unix.ParseSocketControlMessage(oob[:m])
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range messages {
			// struct tpacket_auxdata: status, …, tci at 16, tpid at 18.
			if d := c.Data; len(d) >= 20 && binary.NativeEndian.Uint32(d)&unix.TP_STATUS_VLAN_VALID != 0 {
				tag := binary.BigEndian.AppendUint16(nil, binary.NativeEndian.Uint16(d[18:]))
				tag = binary.BigEndian.AppendUint16(tag, binary.NativeEndian.Uint16(d[16:]))
				f = append(append(bytes.Clone(f[:12]), tag...), f[12:]...)
			}
		}
		return f
	}
	return nil
}
