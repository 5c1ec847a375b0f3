// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Offloads are the TUN_F_ flags in force: what the kernel may leave to the reader of the queue.
type Offloads uint

const (
	offloadTSO = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	offloadUSO = unix.TUN_F_USO4 | unix.TUN_F_USO6 // Linux ≥ 6.2
	// TUN_F_UDP_TUNNEL_GSO and TUN_F_UDP_TUNNEL_GSO_CSUM of linux/if_tun.h, Linux ≥ 6.17
	offloadTunnel = 0x80 | 0x100
)

// TSO reports whether the kernel passes TCP super-frames whole.
func (o Offloads) TSO() bool { return o&unix.TUN_F_TSO4 != 0 }

// Tunnel reports whether the kernel accepts super-frames of UDP tunnels whole.
func (o Offloads) Tunnel() bool { return o&offloadTunnel != 0 }

// USO reports whether the kernel passes UDP super-frames whole.
func (o Offloads) USO() bool { return o&unix.TUN_F_USO4 != 0 }

func (o Offloads) String() string {
	var s []string
	for _, f := range []struct {
		bit  Offloads
		name string
	}{
		{unix.TUN_F_CSUM, "checksum"}, {unix.TUN_F_TSO4, "tso4"}, {unix.TUN_F_TSO6, "tso6"},
		{unix.TUN_F_USO4, "uso4"}, {unix.TUN_F_USO6, "uso6"}, {offloadTunnel, "tunnel"},
	} {
		if o&f.bit != 0 {
			s = append(s, f.name)
		}
	}
	if s == nil {
		return "none"
	}
	return strings.Join(s, " ")
}

// setOffloads sets all offloads, or the most that an older kernel accepts.
func (q *Queue) setOffloads() (Offloads, error) {
	for _, set := range []int{offloadTSO | offloadUSO | offloadTunnel, offloadTSO | offloadUSO, offloadTSO} {
		err := unix.IoctlSetInt(q.fd, unix.TUNSETOFFLOAD, set)
		if err == nil {
			return Offloads(set), nil
		}
		if !errors.Is(err, unix.EINVAL) {
			return 0, fmt.Errorf("set offloads %v: %w", Offloads(set), err)
		}
	}
	// Without checksum offload all frames are finished: slow, but correct.
	return 0, nil
}
