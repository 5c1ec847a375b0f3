// SPDX-License-Identifier: MIT

package ssh

import (
	"encoding/binary"
	"time"
)

// TCPInfo is how a connection stands, from the kernel's struct tcp_info (linux/tcp.h).
type TCPInfo struct {
	Unacked       uint32 // segments that were sent and are not acknowledged
	NotSent       uint32 // bytes that wait to be sent, also those that a link without carrier does not take
	Retransmits   uint8  // how often the first of them was sent again
	RTO           time.Duration
	RTT           time.Duration // smoothed round-trip time
	BytesAcked    uint64        // of those sent, since the connection began
	BytesSent     uint64        // each once, however often it was sent again; 0 before Linux 4.19
	BytesReceived uint64
	SegmentsIn    uint32
}

// parseTCPInfo reads what there is: older kernels tell less.
func parseTCPInfo(b []byte) (i TCPInfo) {
	u32 := func(at int) uint32 {
		if len(b) < at+4 {
			return 0
		}
		return binary.NativeEndian.Uint32(b[at:])
	}
	u64 := func(at int) uint64 {
		if len(b) < at+8 {
			return 0
		}
		return binary.NativeEndian.Uint64(b[at:])
	}
	if len(b) > 2 {
		i.Retransmits = b[2] // tcpi_retransmits
	}
	i.RTO = time.Duration(u32(8)) * time.Microsecond // tcpi_rto
	i.Unacked = u32(24)                              // tcpi_unacked
	i.RTT = time.Duration(u32(68)) * time.Microsecond
	i.BytesAcked = u64(120)                              // tcpi_bytes_acked
	i.BytesReceived = u64(128)                           // tcpi_bytes_received
	i.SegmentsIn = u32(140)                              // tcpi_segs_in
	i.NotSent = u32(144)                                 // tcpi_notsent_bytes
	if sent, again := u64(200), u64(208); sent > again { // tcpi_bytes_sent, tcpi_bytes_retrans
		i.BytesSent = sent - again
	}
	return i
}

// TCPInfo reads how the connection stands; false: it is not established in this network namespace. It needs no rights.
func (c Connection) TCPInfo() (TCPInfo, bool, error) {
	s, ok, err := c.socket()
	return s.info, ok, err
}
