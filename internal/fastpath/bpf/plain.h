/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Plain frames, which most of the ordinary ones are: in IPv4, to one host, sent from the adapter's own address or
 * received for it, under a plan that need not ask more about them. For these the rules come down to little, and here it
 * is in an order in which next to nothing must be kept in memory: what the compiler makes of the whole rules moves
 * values to and fro for half of its instructions. All other frames go the way of ordinary ones. */
#pragma once

#include "lean.h"
#include "leave.h"

/* Where an IPv4 packet without options has what is looked at. */
#define IP_FRAGMENT (ETHER_LEN + 6)
#define IP_PROTOCOL (ETHER_LEN + 9)
#define IP_SOURCE (ETHER_LEN + 12)
#define IP_PAYLOAD (ETHER_LEN + 20)

/* The frame, if it is an ordinary one in IPv4 of which the headers are in the SKB's linear part; else 0. */
static __always_inline const __u8 *plain_frame(struct __sk_buff *skb)
{
	volatile __u32 *end = &skb->data_end; /* first_octets says why */
	const __u8 *b = (void *)(long)skb->data;

	if (b + IP_PAYLOAD + TCP_LEN > (const __u8 *)(long)*end)
		return 0;
	if (*(const __be16 *)(b + 12) != bpf_htons(TYPE_IPV4) || b[ETHER_LEN] != 0x45 ||
	    *(const __be16 *)(b + IP_FRAGMENT) & bpf_htons(0x3fff))
		return 0;
	if (b[IP_PROTOCOL] != PROTO_TCP && b[IP_PROTOCOL] != PROTO_UDP)
		return 0;
	return b;
}

/* What parse_ordinary4 finds, as far as it is asked for. */
static __always_inline struct headers plain_headers(struct __sk_buff *skb, const __u8 *b)
{
	return (struct headers){ .src = load64(skb, b, 6) >> 16, .ethertype = TYPE_IPV4, .ip_proto = b[IP_PROTOCOL],
				 .l3 = ETHER_LEN, .l4 = IP_PAYLOAD };
}

/* Numbers that are shifted: else the compiler turns and masks them as longer ones. */
static __always_inline __u64 plain32(struct __sk_buff *skb, const __u8 *b, __u32 at)
{
	__u64 w = load32(skb, b, at);

	asm("" : "+r"(w));
	return w;
}

static __always_inline __u64 plain16(struct __sk_buff *skb, const __u8 *b, __u32 at)
{
	__u64 w = load16(skb, b, at);

	asm("" : "+r"(w));
	return w;
}

/* The hash of a flow by LAYER34. */
static __always_inline __u64 plain_hash(struct __sk_buff *skb, const __u8 *b, const struct plan *pl)
{
	__u64 x = mix(pl->start, ipv4_addrs(skb, b, ETHER_LEN));

	return finish(mix(x, plain32(skb, b, IP_PAYLOAD) << 8 | b[IP_PROTOCOL]));
}

/* pick for a plain frame. h is counted if the rule weighs frames. */
static __always_inline __u32 pick_plain(struct __sk_buff *skb, const __u8 *b, struct plan *pl, struct headers *h,
					__u32 *slot)
{
	switch (pl->rule) {
	case RULE_SINGLE:
		return pl->single;
	case RULE_SLOTS:
		*slot = plain_hash(skb, b, pl) % SLOT_COUNT;
		return pl->slots[*slot];
	case RULE_ROUND_ROBIN:
		wire_count(skb, b, h);
		return pl->n == 0 ? NO_MEMBER : next_round_robin(pl, &get_tx_state()->round_robin, h->bytes);
	default:
		wire_count(skb, b, h);
		*slot = plain_hash(skb, b, pl) % FLOW_COUNT;
		return pick_flow_member(pl, &get_tx_state()->flows, *slot, h->bytes, bpf_ktime_get_ns());
	}
}

static __always_inline int transmit_plain(struct __sk_buff *skb, struct cpu_state *cpu, struct plan *pl)
{
	__u32 slot = NO_SLOT;

	if (!pl->plain)
		return NOT_ORDINARY;
	const __u8 *b = plain_frame(skb);
	if (!b)
		return NOT_ORDINARY;
	struct headers h = plain_headers(skb, b);
	if (b[0] & 1 || h.src != pl->adapter)
		return NOT_ORDINARY;
	__u32 id = pick_plain(skb, b, pl, &h, &slot), to = id < MAX_MEMBERS ? pl->leaves[id] : 0;
	if (to != 0 && is_dead(pl, id)) {
		__u32 other = stand_in(pl, id, slot, h.bytes);
		if (other < MAX_MEMBERS) {
			id = other;
			to = pl->ifindex[id];
		}
	}
	if (h.frames == 0)
		wire_count(skb, b, &h);
	if (to == 0)
		return drop_unassigned(cpu, DROP_NO_MEMBER, h.frames);
	struct leaving f = {.bytes = h.bytes, .frames = h.frames, .protocol = protocol_of(b[IP_PROTOCOL]), .unicast = 1};
	id = barrier_value(id) & (MAX_MEMBERS - 1);
	count_tx(&cpu->members[id], skb->len, &f);
	if (pl->per_member && pl->mac[id] != pl->adapter)
		store_mac(skb, 6, pl->mac[id]);
	return bpf_redirect(to, 0);
}

static __always_inline int receive_plain(struct __sk_buff *skb, struct cpu_state *cpu, struct plan *pl, __u32 id)
{
	const __u8 *b = plain_frame(skb);

	if (!b)
		return NOT_ORDINARY;
	struct headers h = plain_headers(skb, b);
	__u64 dst = plain16(skb, b, 0) << 32 | load32(skb, b, 2);
	if (!plainly_ours(pl, id, dst, h.src) || *(volatile __u64 *)&get_control()->recent_until != 0)
		return NOT_ORDINARY;
	if (h.ip_proto == PROTO_UDP) {
		__u16 port = load16(skb, b, IP_PAYLOAD + 2);
		if (port == CLIENT4 || port == CLIENT6)
			return NOT_ORDINARY; /* for_the_nic */
	}
	wire_count(skb, b, &h);
	if (pl->per_member)
		count_class(skb, b, &h);
	struct member_counters *t = &cpu->members[id & (MAX_MEMBERS - 1)];
	count(t->rx, protocol_of(h.ip_proto), h.frames, h.bytes);
	t->rx_unicast += h.frames;
	if (dst != pl->adapter)
		store_mac(skb, 0, pl->adapter);
	return bpf_redirect(get_control()->adapter, BPF_F_INGRESS);
}
