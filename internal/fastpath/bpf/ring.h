/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Frames for the relay while the member's socket does not listen: internal/relay/gate_ring.go. */
#pragma once

#include "gate.h"
#include "parse.h"

/* Of one member. ring.go has the same size. */
struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
};

/* By member. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

static __always_inline int by_ring(__u32 gate) { return gate == GATE_RING || gate == GATE_ALONE; }

/* What holds for a received frame of a member: what relay_filter has noted for it, unless that need not have run. A
 * note for another NIC is of before the filter was attached: the relay has this frame. */
static __always_inline __u32 decided_gate(struct __sk_buff *skb, struct control *c, const struct cpu_state *cpu,
					  __u32 id)
{
	if (*(volatile __u32 *)&c->receive_gate[id & (MAX_MEMBERS - 1)] == GATE_ALONE)
		return GATE_ALONE;
	return cpu->ifindex == skb->ifindex ? cpu->decided : GATE_SLOW;
}

/* Passes a frame to the relay. 0: the ring has no room. */
__noinline int pass_by_ring(struct __sk_buff *skb, struct cpu_state *cpu, __u32 id)
{
	if (!cpu)
		return 0;
	void *ring = bpf_map_lookup_elem(&rings, &id);
	__u32 n = barrier_value(skb->len);
	if (!ring || n < ETHER_LEN || n > RING_FRAME)
		return 0;
	cpu->passed.tpid = skb->vlan_present ? bpf_ntohs(skb->vlan_proto) : 0;
	cpu->passed.tci = skb->vlan_tci;
	cpu->passed.length = n;
	if (bpf_skb_load_bytes(skb, 0, cpu->passed.frame, n) < 0)
		return 0;
	return bpf_ringbuf_output(ring, &cpu->passed, RING_HEADER + n, 0) == 0;
}
