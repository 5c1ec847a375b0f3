/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ordinary frames, which most are: TCP and UDP in IPv4 without options or in IPv6 without extensions, no fragments, no
 * tag but one that the kernel has stripped. The programs of tc read them where they lie, at b, and do with them what
 * they do with all others: it is the same code, compiled once more for each of the two with another b than 0. Then the
 * headers stay in registers, as long as no function that is called gets their address. */
#pragma once

#include "parse.h"

#define NOT_ORDINARY -2

/* Makes b the frame, of which n octets can be read directly then; 0: there are fewer. Those beyond the SKB's linear
 * part are pulled there, as the host's stack does next. A pointer from before is invalid then. */
static __always_inline int first_octets(struct __sk_buff *skb, __u32 n, const __u8 **b)
{
	/* Volatile: what the compiler keeps of it in 32 bits is not an end of a frame to the verifier. */
	volatile __u32 *end = &skb->data_end;

	*b = (void *)(long)skb->data;
	if (*b + n > (const __u8 *)(long)*end) {
		if (skb->len < n || bpf_skb_pull_data(skb, n) < 0)
			return 0;
		*b = (void *)(long)skb->data;
		if (*b + n > (const __u8 *)(long)*end)
			return 0;
	}
	__builtin_assume(*b != 0);
	return 1;
}

/* TCP and UDP are 0 and 1, and their numbers in IP 6 and 17. */
static __always_inline __u8 protocol_of(__u8 ip_proto) { return ip_proto & 1; }

_Static_assert(TCP == (PROTO_TCP & 1) && UDP == (PROTO_UDP & 1), "protocol_of");

/* The rest of what parse finds, but for what is seldom asked: payload_of and find_tag find that; nobody asks for
 * h->type. by: what the frame is sent by, and its ethertype. Returns 0 if it is no ordinary frame. */
static __always_inline int parse_ordinary(struct __sk_buff *skb, const __u8 *b, __u64 by, struct headers *h)
{
	if (h->ip_proto != PROTO_TCP && h->ip_proto != PROTO_UDP)
		return 0;
	h->protocol = protocol_of(h->ip_proto);
	h->l3 = ETHER_LEN;
	h->dst = (__u64)load16(skb, b, 0) << 32 | load32(skb, b, 2);
	h->src = by >> 16;
	return 1;
}

static __always_inline int parse_ordinary4(struct __sk_buff *skb, const __u8 **at, struct headers *h)
{
	if (!first_octets(skb, ETHER_LEN + 20 + TCP_LEN, at))
		return 0;
	const __u8 *b = *at;
	__be16 fragment = *(const __be16 *)(b + ETHER_LEN + 6) & bpf_htons(0x3fff);
	__u64 by = load64(skb, b, 6);
	if ((by & 0xffff) != TYPE_IPV4 || b[ETHER_LEN] != 0x45 || fragment)
		return 0;
	*h = (struct headers){ .ethertype = TYPE_IPV4, .ip_proto = b[ETHER_LEN + 9], .l4 = ETHER_LEN + 20 };
	return parse_ordinary(skb, b, by, h);
}

static __always_inline int parse_ordinary6(struct __sk_buff *skb, const __u8 **at, struct headers *h)
{
	if (skb->protocol != bpf_htons(TYPE_IPV6) || !first_octets(skb, ETHER_LEN + 40 + TCP_LEN, at))
		return 0;
	const __u8 *b = *at;
	__u64 by = load64(skb, b, 6);
	if ((by & 0xffff) != TYPE_IPV6 || b[ETHER_LEN] >> 4 != 6)
		return 0;
	*h = (struct headers){ .ethertype = TYPE_IPV6, .ip_proto = b[ETHER_LEN + 6], .l4 = ETHER_LEN + 40 };
	return parse_ordinary(skb, b, by, h);
}
