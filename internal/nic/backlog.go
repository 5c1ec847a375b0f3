// SPDX-License-Identifier: MIT

package nic

import (
	"fmt"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SetBacklog bounds what waits for transmission, in bytes of truesize: a super-frame counts some 5 % more than its
// length, a frame of 1500 bytes half as much again, a small frame about 800. The kernel checks the bound before a
// frame, so one frame may exceed it. Call it again when the NIC's speed changes.
func (s *Socket) SetBacklog(bytes int) error {
	return s.withFD(func(fd int) error { return setBacklog(fd, bytes) })
}

func setBacklog(fd, bytes int) error {
	// The kernel doubles the value.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bytes/2); err != nil {
		return fmt.Errorf("set SO_SNDBUFFORCE: %w", err)
	}
	return nil
}

// Backlog returns the bytes of truesize that were sent and have not left the NIC.
func (s *Socket) Backlog() int { return backlog(s.withFD) }

// ControlBacklog is Backlog of control frames.
func (s *Socket) ControlBacklog() int { return backlog(s.ctl.withFD) }

func backlog(withFD func(func(fd int) error) error) (n int) {
	err := withFD(func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	if err != nil {
		return 0
	}
	return n
}

const (
	pageSize = 4096
	// A struct sk_buff, and in the buffer for data a struct skb_shared_info and headroom. Sizes of allocations are
	// powers of two, but for the least.
	skbSize     = 256
	skbOverhead = 340
	minAlloc    = 576
)

// Truesize estimates skb->truesize of a frame of n octets, the unit of Backlog and SetBacklog (packet_alloc_skb in
// net/packet/af_packet.c, sock_alloc_send_pskb in net/core/sock.c). A frame longer than a page is in pages, and only
// its headers are in the buffer.
func Truesize(n int) int {
	switch size := n + skbOverhead; {
	case size <= minAlloc:
		return skbSize + minAlloc
	case n < pageSize:
		return skbSize + 1<<bits.Len(uint(size-1))
	}
	return skbSize + minAlloc + (n+pageSize-1)/pageSize*pageSize
}

// DefaultBacklog is the least backlog bound, for the super-frames of one stream, and the bound of NICs of unknown
// speed.
const DefaultBacklog = 256 << 10

// BacklogFor returns the backlog bound of a NIC of a speed (0: unknown): 10 ms, and at least DefaultBacklog.
func BacklogFor(bitsPerSecond uint64) int {
	return max(DefaultBacklog, int(min(bitsPerSecond, 1<<40)/8/100))
}

// speed returns the NIC's speed in bit/s, from its driver in the socket's namespace; 0: unknown.
func speed(fd, index int) uint64 {
	name, ok := nameOf(fd, index)
	if !ok {
		return 0
	}
	// ETHTOOL_GSET: ETHTOOL_GLINKSETTINGS adds link modes only.
	cmd := struct { // struct ethtool_cmd
		cmd   uint32
		_     [2]uint32
		speed uint16
		_     [14]byte
		high  uint16
		_     [14]byte
	}{cmd: unix.ETHTOOL_GSET}
	req := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&cmd)}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	if err := ioctlPointer(fd, unix.SIOCETHTOOL, &req); err != nil {
		return 0
	}
	mbps := uint32(cmd.high)<<16 | uint32(cmd.speed)
	if mbps == 0xffff || mbps == 0xffff_ffff {
		return 0
	}
	return uint64(mbps) * 1_000_000
}

// nameOf returns the NIC's present name: names change, indexes do not.
func nameOf(fd, index int) (string, bool) {
	var named struct { // struct ifreq as SIOCGIFNAME reads it
		name  [unix.IFNAMSIZ]byte
		index int32
		_     [20]byte
	}
	named.index = int32(index)
	if err := ioctlPointer(fd, unix.SIOCGIFNAME, &named); err != nil {
		return "", false
	}
	return unix.ByteSliceToString(named.name[:]), true
}
