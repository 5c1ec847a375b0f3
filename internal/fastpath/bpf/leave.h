/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The end of transmit: a frame leaves by a member. */
#pragma once

#include "accept.h"

#define NO_SLOT 0xffffffff

/* What counts of a frame, and who sends it. */
struct leaving {
	__u64 src;
	__u64 bytes;  /* on the wire */
	__u64 frames; /* likewise */
	__u32 protocol;
	__u32 slot;   /* of its flow, by the Plan's rule; NO_SLOT: it belongs to none */
	int unicast;
	int own_mac; /* it leaves with the address of its member, if the Plan is per member */
};

static __always_inline int drop_unassigned(struct cpu_state *cpu, __u32 drop, __u32 frames)
{
	cpu->no_member[drop] += frames;
	return ACT_DROP;
}

static __always_inline void count(struct count *to, __u32 protocol, __u64 frames, __u64 bytes)
{
	if (protocol >= PROTOCOLS)
		return;
	to[protocol].frames += frames;
	to[protocol].bytes += bytes;
}

/* A member transmits a frame with an SKB of so many bytes. */
static __always_inline void count_tx(struct member_counters *t, __u64 skb_bytes, const struct leaving *f)
{
	count(t->tx, f->protocol, f->frames, f->bytes);
	t->tx_skb_bytes += skb_bytes;
	if (f->unicast)
		t->tx_unicast += f->frames;
}

static __always_inline void store_mac(struct __sk_buff *skb, __u32 at, __u64 mac)
{
	__be64 b = bpf_cpu_to_be64(mac << 16);
	bpf_skb_store_bytes(skb, at, &b, 6, 0);
}

/* A frame leaves by the member that the Plan's rule has picked, or by its stand-in. Without one it goes to the member
 * nevertheless: its NIC drops it, and counts that. */
static __always_inline int leave(struct __sk_buff *skb, struct plan *pl, struct cpu_state *cpu, __u32 id,
				 const struct leaving *f)
{
	if (!in_set(pl->distributing, id))
		return drop_unassigned(cpu, DROP_NO_MEMBER, f->frames);
	if (is_dead(pl, id)) {
		__u32 other = stand_in(pl, id, f->slot, f->bytes);
		if (other < MAX_MEMBERS)
			id = other;
	}
	id = barrier_value(id) & (MAX_MEMBERS - 1);
	__u32 to = pl->ifindex[id];
	if (to == 0)
		return drop_unassigned(cpu, DROP_NO_MEMBER, f->frames);
	if (pl->per_member && f->own_mac && pl->mac[id] != f->src)
		store_mac(skb, 6, pl->mac[id]);
	count_tx(&cpu->members[id], skb->len, f);
	return bpf_redirect(to, 0);
}
