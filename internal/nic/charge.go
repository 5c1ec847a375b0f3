package nic

import "math/bits"

const (
	pageSize = 4096
	// A buffer of the kernel has a struct sk_buff, and its data a struct skb_shared_info behind and some
	// room in front. The allocator's sizes are powers of two, but for the least.
	skbSize     = 256
	skbOverhead = 340
	minAlloc    = 576
)

// Truesize is about what the kernel charges for a frame of n octets that waits, the measure of Backlog and SetBacklog
// (packet_alloc_skb in net/packet/af_packet.c, sock_alloc_send_pskb in net/core/sock.c). What is longer than a page
// lies in pages, and only its headers in a buffer.
func Truesize(n int) int {
	switch size := n + skbOverhead; {
	case size <= minAlloc:
		return skbSize + minAlloc
	case n < pageSize:
		return skbSize + 1<<bits.Len(uint(size-1))
	}
	return skbSize + minAlloc + (n+pageSize-1)/pageSize*pageSize
}
