/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The flow hash of modes/spread/hash.go: the same words in the same order. */
#pragma once

#include "parse.h"

#define HASH_START 0x6e69637465616d31ULL
#define HASH_WORD 0x9e3779b97f4a7c15ULL

enum { LAYER34, LAYER2, LAYER23, VLAN_SRCMAC };

static __always_inline __u64 mix(__u64 x, __u64 w)
{
	x = (x ^ w) * HASH_WORD;
	return x ^ x >> 32;
}

static __always_inline __u64 finish(__u64 x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static __always_inline int has_ports(const struct headers *h)
{
	if (h->l4 == 0 || h->fragment)
		return 0;
	switch (h->ip_proto) {
	case PROTO_TCP:
	case PROTO_UDP:
	case 33:
	case 132:
	case 136:
		return 1;
	}
	return 0;
}

static __always_inline int is_icmp_error(const struct headers *h)
{
	if (h->l4 == 0 || h->fragment)
		return 0;
	if (h->ip_proto == PROTO_ICMP && h->ethertype == TYPE_IPV4)
		return h->type == 3 || h->type == 4 || h->type == 5 || h->type == 11 || h->type == 12;
	if (h->ip_proto == PROTO_ICMPV6 && h->ethertype == TYPE_IPV6)
		return h->type < 128 && h->type != 0;
	return 0;
}

static __always_inline __u64 ipv4_addrs(struct __sk_buff *skb, const __u8 *b, __u32 l3)
{
	if (!b)
		return load64(skb, 0, l3 + 12);
	return (__u64)load32(skb, b, l3 + 12) << 32 | load32(skb, b, l3 + 16);
}

static __always_inline __u64 mix_quoted(__u64 x, struct __sk_buff *skb, const struct headers *q, int ports)
{
	if (q->ethertype == TYPE_IPV4) {
		__u64 w = ipv4_addrs(skb, 0, q->l3);
		x = mix(x, w << 32 | w >> 32);
	} else {
		x = mix(x, load64(skb, 0, q->l3 + 24));
		x = mix(x, load64(skb, 0, q->l3 + 32));
		x = mix(x, load64(skb, 0, q->l3 + 8));
		x = mix(x, load64(skb, 0, q->l3 + 16));
	}
	if (ports && has_ports(q)) {
		__u32 w = load32(skb, 0, q->l4);
		x = mix(x, (__u64)(w << 16 | w >> 16) << 8 | q->ip_proto);
	}
	return x;
}

static __always_inline __u64 mix_ip(struct __sk_buff *skb, const __u8 *b, const struct headers *h, __u64 x, int ports)
{
	if (is_icmp_error(h)) {
		struct headers q;
		if (parse_quoted(skb, h->l4 + 8, &q))
			return mix_quoted(x, skb, &q, ports);
	}
	if (h->ethertype == TYPE_IPV4) {
		x = mix(x, ipv4_addrs(skb, b, h->l3));
	} else {
#pragma unroll
		for (int i = 8; i < 40; i += 8)
			x = mix(x, load64(skb, b, h->l3 + i));
	}
	if (ports && (b || has_ports(h))) /* an ordinary frame has them */
		x = mix(x, (__u64)load32(skb, b, h->l4) << 8 | h->ip_proto);
	return x;
}

static __always_inline __u64 mix_layer2(__u64 x, const struct headers *h)
{
	return mix(mix(x, h->src << 16 | h->ethertype), h->dst);
}

/* x: spread.Hash.Start */
static __always_inline __u64 hash_frame(struct __sk_buff *skb, const __u8 *b, struct headers *h, __u64 x, __u32 policy)
{
	int ip = h->l3 != 0 && h->ethertype != TYPE_ARP;

	if (policy == LAYER34)
		return finish(ip ? mix_ip(skb, b, h, x, 1) : mix_layer2(x, h));
	switch (policy) {
	case LAYER23:
		x = mix_layer2(x, h);
		if (ip)
			x = mix_ip(skb, b, h, x, 0);
		break;
	case VLAN_SRCMAC:
		find_tag(skb, b, h);
		x = mix(x, (__u64)(h->tci & 0xfff) << 48 | h->src);
		break;
	default:
		x = mix_layer2(x, h);
	}
	return finish(x);
}

__noinline __u64 hash_any(struct __sk_buff *skb, struct headers *h, __u64 start, __u32 policy)
{
	return h ? hash_frame(skb, 0, h, start, policy) : 0;
}

static __always_inline __u64 flow_hash(struct __sk_buff *skb, const __u8 *b, struct headers *h, __u64 start,
				       __u32 policy)
{
	return b ? hash_frame(skb, b, h, start, policy) : hash_any(skb, h, start, policy);
}

/* spread.RxClass */
static __always_inline __u32 rx_class(struct __sk_buff *skb, const __u8 *b, const struct headers *h)
{
	__u64 x = mix(HASH_START, h->src);

	if (h->l3 != 0 && h->ethertype == TYPE_IPV4) {
		x = mix(x, load32(skb, b, h->l3 + 16));
	} else if (h->l3 != 0 && h->ethertype == TYPE_IPV6) {
		x = mix(x, load64(skb, b, h->l3 + 24));
		x = mix(x, load64(skb, b, h->l3 + 32));
	}
	return finish(x) % RX_CLASS_COUNT;
}

static __always_inline void count_class(struct __sk_buff *skb, const __u8 *b, const struct headers *h)
{
	__u32 class = rx_class(skb, b, h);
	__u64 *sum = bpf_map_lookup_elem(&rx_bytes, &class);

	if (sum)
		__sync_fetch_and_add(sum, h->bytes);
}
