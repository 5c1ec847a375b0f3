package nic

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// DefaultBacklog is the least backlog bound: one stream's super-frames fit, and it is what NICs of unknown
// speed get.
const DefaultBacklog = 256 << 10

// BacklogFor is the backlog bound for a NIC of that speed (0: unknown): 10 ms, and at least DefaultBacklog.
func BacklogFor(bitsPerSecond uint64) int {
	return max(DefaultBacklog, int(min(bitsPerSecond, 1<<40)/8/100))
}

// speed asks the driver, in the socket's own namespace, for the NIC's speed in bit/s; 0 when it does not know.
func speed(fd, index int) uint64 {
	name, ok := nameOf(fd, index)
	if !ok {
		return 0
	}
	// ETHTOOL_GSET: its successor adds link modes, which are of no interest here.
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

// nameOf is the NIC's present name: names change, indices do not.
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
