/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* frame.Parse: the same steps with the same bounds. Offsets are in the SKB, without the outer tag if the kernel has
 * stripped it into skb->vlan_tci. */
#pragma once

#include "layout.h"

enum { TCP, UDP, ICMP, ARP, ND, LACP, OTHER };

#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_VLAN 0x8100
#define TYPE_IPV6 0x86dd
#define TYPE_QINQ 0x88a8
#define TYPE_PROBE 0x88b5
#define TYPE_SLOW 0x8809

#define PROTO_ICMP 1
#define PROTO_IGMP 2
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ICMPV6 58

#define MAX_TAGS 8
#define MAX_EXTENSIONS 8
#define ETHER_LEN 14
#define TAG_LEN 4

struct headers {
	__u64 dst, src;
	__u32 l3, l4, payload;
	__u32 frames, bytes; /* on the wire; by wire_count */
	__u16 ethertype, tci;
	__u8 vlans;
	__u8 ip_proto;
	__u8 fragment;
	__u8 protocol;
	__u8 type; /* first octet at l4 */
	__u8 quick; /* ip_addrs and ports are set */
	__u16 vlan;  /* as frame.Station has it */
	__u64 ip_addrs;  /* IPv4: source and destination */
	__u32 ports; /* 0: not read */
};

#define SERVICE_TAG 0x1000
#define VLAN_BITS 13

/* The outer tag. */
static __always_inline void set_vlan(struct headers *h, __u16 tpid, __u16 tci)
{
	h->tci = tci;
	h->vlan = tci & 0xfff;
	if (h->vlan != 0 && tpid == TYPE_QINQ)
		h->vlan |= SERVICE_TAG;
}

/* The outer tag if the kernel stripped it. */
static __always_inline void take_stripped_tag(struct __sk_buff *skb, struct headers *h)
{
	if (!skb->vlan_present)
		return;
	set_vlan(h, bpf_ntohs(skb->vlan_proto), skb->vlan_tci);
	h->vlans = 1;
}

/* frame.StationOf */
static __always_inline __u64 station_of(const struct headers *h, __u64 mac) { return mac << VLAN_BITS | h->vlan; }

static __always_inline __u64 mac_at(const __u8 *b)
{
	return (__u64)b[0] << 40 | (__u64)b[1] << 32 | (__u64)b[2] << 24 | (__u64)b[3] << 16 | (__u64)b[4] << 8 | b[5];
}

static __always_inline int multicast(__u64 mac) { return mac >> 40 & 1; }

static __always_inline __u32 tag_length(struct __sk_buff *skb) { return skb->vlan_present ? TAG_LEN : 0; }

/* first: this fragment has the transport header. quoted: by an ICMP error, and truncated. */
static __always_inline void parse_transport(struct __sk_buff *skb, __u32 at, int first, struct headers *h, int quoted)
{
	__s32 have = first ? (__s32)(skb->len - at) : 0;
	__u8 b = 0;

	if (quoted) {
		if (have >= 4)
			h->l4 = at;
		return;
	}
	switch (h->ip_proto) {
	case PROTO_TCP:
		h->protocol = TCP;
		if (have < 20 || bpf_skb_load_bytes(skb, at + 12, &b, 1) < 0)
			return;
		__u32 n = (b >> 4) * 4;
		if (n >= 20 && (__s32)n <= have)
			h->payload = at + n;
		break;
	case PROTO_UDP:
		h->protocol = UDP;
		if (have < 8)
			return;
		h->payload = at + 8;
		break;
	case PROTO_ICMP:
		if (h->ethertype == TYPE_IPV4)
			h->protocol = ICMP;
		if (have < 8)
			return;
		break;
	case PROTO_ICMPV6:
		if (h->ethertype == TYPE_IPV6)
			h->protocol = ICMP;
		if (have < 8 || bpf_skb_load_bytes(skb, at, &b, 1) < 0)
			return;
		if (h->ethertype == TYPE_IPV6 && b >= 133 && b <= 137)
			h->protocol = ND;
		break;
	default:
		if (have < 4)
			return;
	}
	if (bpf_skb_load_bytes(skb, at, &h->type, 1) < 0)
		return;
	h->l4 = at;
}

static __always_inline void parse_ipv4(struct __sk_buff *skb, __u32 off, struct headers *h, int quoted)
{
	__u8 b[20];

	if (bpf_skb_load_bytes(skb, off, b, sizeof(b)) < 0 || b[0] >> 4 != 4)
		return;
	__u32 ihl = (b[0] & 0xf) * 4;
	if (ihl < 20 || skb->len < off + ihl)
		return;
	h->l3 = off;
	h->ip_proto = b[9];
	__u16 frag = (__u16)b[6] << 8 | b[7];
	h->fragment = (frag & 0x3fff) != 0;
	parse_transport(skb, off + ihl, (frag & 0x1fff) == 0, h, quoted);
}

static __always_inline void parse_ipv6(struct __sk_buff *skb, __u32 off, struct headers *h, int quoted)
{
	__u8 b[8];

	/* The whole fixed header must be there. */
	if (skb->len < off + 40 || bpf_skb_load_bytes(skb, off, b, sizeof(b)) < 0 || b[0] >> 4 != 6)
		return;
	h->l3 = off;
	__u8 next = b[6];
	__u32 at = off + 40;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		int first = 1;
		__u32 n;

		if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60) {
			h->ip_proto = next;
			parse_transport(skb, at, 1, h, quoted);
			return;
		}
		if (bpf_skb_load_bytes(skb, at, b, sizeof(b)) < 0) {
			h->ip_proto = next;
			return;
		}
		if (next == 44) {
			__u16 frag = (__u16)b[2] << 8 | b[3];
			h->fragment = (frag & 0xfff9) != 0;
			first = (frag & 0xfff8) == 0;
			n = 8;
		} else if (next == 51) {
			n = (__u32)b[1] * 4 + 8;
		} else {
			n = (__u32)b[1] * 8 + 8;
		}
		next = b[0];
		at += n;
		if (!first) {
			h->ip_proto = next;
			parse_transport(skb, at, 0, h, quoted);
			return;
		}
	}
	h->ip_proto = next;
}

#define QUICK_LEN 48

/* Most frames are TCP or UDP in IPv4 without options. This finds the same as parse in them with one load, which is what
 * costs. 0: any other frame, and h is unchanged. */
static __always_inline int parse_quick4(struct __sk_buff *skb, struct headers *h)
{
	__be64 b[QUICK_LEN / 8];
	__u32 have = skb->len - (ETHER_LEN + 20);

	if (bpf_skb_load_bytes(skb, 0, b, sizeof(b)) < 0)
		return 0;
	__u64 w0 = bpf_be64_to_cpu(b[0]), w1 = bpf_be64_to_cpu(b[1]), w2 = bpf_be64_to_cpu(b[2]);
	/* EtherType, version, IHL; flags and offset of fragments. */
	if ((w1 >> 8 & 0xffffff) != (TYPE_IPV4 << 8 | 0x45) || (w2 & 0x3fff0000) != 0)
		return 0;
	__u8 proto = w2;
	if (proto == PROTO_TCP) {
		__u32 n = (bpf_be64_to_cpu(b[5]) >> 12 & 0xf) * 4;
		if (have < 20 || n < 20 || n > have)
			return 0;
		h->protocol = TCP;
		h->payload = ETHER_LEN + 20 + n;
	} else if (proto == PROTO_UDP) {
		h->protocol = UDP;
		h->payload = ETHER_LEN + 20 + 8;
	} else {
		return 0;
	}
	h->dst = w0 >> 16;
	h->src = (w0 & 0xffff) << 32 | w1 >> 32;
	h->ethertype = TYPE_IPV4;
	h->ip_proto = proto;
	h->l3 = ETHER_LEN;
	h->l4 = ETHER_LEN + 20;
	__u64 w4 = bpf_be64_to_cpu(b[4]);
	h->type = w4 >> 40;
	h->ip_addrs = bpf_be64_to_cpu(b[3]) << 16 | w4 >> 48;
	h->ports = w4 >> 16;
	h->quick = 1;
	take_stripped_tag(skb, h);
	return 1;
}

#define COMMON6_LEN 72

/* The same of TCP and UDP in IPv6 without extensions. */
static __always_inline int parse_quick6(struct __sk_buff *skb, struct headers *h)
{
	__be64 b[COMMON6_LEN / 8];
	__u32 have = skb->len - (ETHER_LEN + 40);

	if (skb->protocol != bpf_htons(TYPE_IPV6) || bpf_skb_load_bytes(skb, 0, b, sizeof(b)) < 0)
		return 0;
	__u64 w0 = bpf_be64_to_cpu(b[0]), w1 = bpf_be64_to_cpu(b[1]);
	if ((w1 >> 12 & 0xfffff) != (TYPE_IPV6 << 4 | 6))
		return 0;
	__u8 next = bpf_be64_to_cpu(b[2]) >> 24;
	if (next == PROTO_TCP) {
		__u32 n = (bpf_be64_to_cpu(b[8]) >> 44 & 0xf) * 4;
		if (have < 20 || n < 20 || n > have)
			return 0;
		h->protocol = TCP;
		h->payload = ETHER_LEN + 40 + n;
	} else if (next == PROTO_UDP) {
		h->protocol = UDP;
		h->payload = ETHER_LEN + 40 + 8;
	} else {
		return 0;
	}
	h->dst = w0 >> 16;
	h->src = (w0 & 0xffff) << 32 | w1 >> 32;
	h->ethertype = TYPE_IPV6;
	h->ip_proto = next;
	h->l3 = ETHER_LEN;
	h->l4 = ETHER_LEN + 40;
	__u64 w6 = bpf_be64_to_cpu(b[6]);
	h->type = w6 >> 8;
	h->ports = w6 << 16 | bpf_be64_to_cpu(b[7]) >> 48;
	take_stripped_tag(skb, h);
	return 1;
}

/* The verifier checks a function that is not static once, by itself. */
__noinline int parse(struct __sk_buff *skb, struct headers *h)
{
	__u8 b[ETHER_LEN];

	if (!h)
		return 0;
	__builtin_memset(h, 0, sizeof(*h));
	if (parse_quick4(skb, h) || parse_quick6(skb, h))
		return 1;
	h->protocol = OTHER;
	if (bpf_skb_load_bytes(skb, 0, b, sizeof(b)) < 0)
		return 0;
	h->dst = mac_at(b);
	h->src = mac_at(b + 6);
	h->ethertype = (__u16)b[12] << 8 | b[13];
	take_stripped_tag(skb, h);
	__u32 off = ETHER_LEN;
	for (int i = 0; i <= MAX_TAGS; i++) {
		if (h->ethertype != TYPE_VLAN && h->ethertype != TYPE_QINQ)
			break;
		if (h->vlans >= MAX_TAGS || bpf_skb_load_bytes(skb, off, b, TAG_LEN) < 0)
			return 1;
		if (h->vlans == 0)
			set_vlan(h, h->ethertype, (__u16)b[0] << 8 | b[1]);
		h->vlans++;
		h->ethertype = (__u16)b[2] << 8 | b[3];
		off += TAG_LEN;
	}
	switch (h->ethertype) {
	case TYPE_IPV4:
		parse_ipv4(skb, off, h, 0);
		break;
	case TYPE_IPV6:
		parse_ipv6(skb, off, h, 0);
		break;
	case TYPE_ARP:
		h->protocol = ARP;
		if (skb->len >= off + 28)
			h->l3 = off;
		break;
	case TYPE_SLOW:
		if (bpf_skb_load_bytes(skb, off, b, 1) == 0 && (b[0] == 1 || b[0] == 2))
			h->protocol = LACP;
		break;
	}
	return 1;
}

/* frame.ParseQuoted: the IP packet that an ICMP error quotes at off. */
__noinline int parse_quoted(struct __sk_buff *skb, __u32 off, struct headers *h)
{
	__u8 version;

	if (!h)
		return 0;
	__builtin_memset(h, 0, sizeof(*h));
	h->protocol = OTHER;
	if (bpf_skb_load_bytes(skb, off, &version, 1) < 0)
		return 0;
	switch (version >> 4) {
	case 4:
		h->ethertype = TYPE_IPV4;
		parse_ipv4(skb, off, h, 1);
		break;
	case 6:
		h->ethertype = TYPE_IPV6;
		parse_ipv6(skb, off, h, 1);
		break;
	}
	return h->l3 != 0;
}

/* relay.isARPorND, the slow protocols and probe frames, of which other users of their EtherType are few: frames that
 * the relay moves even while the programs move the others. */
static __always_inline int for_the_relay(const struct headers *h)
{
	return h->protocol == ARP || h->protocol == ND || h->ethertype == TYPE_SLOW || h->ethertype == TYPE_PROBE;
}

#define CLIENT4 68
#define CLIENT6 546

/* Whether a received frame is for the NIC itself too: the isolating program, which runs next, passes it to sockets on
 * the NIC. These are all protocols but IP, and of IP answers of DHCP. */
static __always_inline int for_the_nic(struct __sk_buff *skb, const struct headers *h)
{
	if (h->ethertype != TYPE_IPV4 && h->ethertype != TYPE_IPV6)
		return h->vlan == 0 && h->vlans <= 1;
	if (h->protocol != UDP || h->l4 == 0)
		return 0;
	__u16 port = h->ports;
	if (h->ports == 0) {
		__be16 b;
		if (bpf_skb_load_bytes(skb, h->l4 + 2, &b, sizeof(b)) < 0)
			return 0;
		port = bpf_ntohs(b);
	}
	return (port == CLIENT4 || port == CLIENT6) && h->vlan == 0 && h->vlans <= 1;
}

/* Whether a frame is certainly not for the relay, without parsing it. */
static __always_inline int never_for_the_relay(struct __sk_buff *skb)
{
	__u8 next;

	if (skb->protocol == bpf_htons(TYPE_IPV4))
		return 1;
	return skb->protocol == bpf_htons(TYPE_IPV6) && bpf_skb_load_bytes(skb, ETHER_LEN + 6, &next, 1) == 0 &&
	       (next == PROTO_TCP || next == PROTO_UDP);
}

/* frame.WireCount. For transmitted frames the kernel counts, super-frames of tunnels included. */
static __always_inline void wire_count(struct __sk_buff *skb, struct headers *h)
{
	__u32 n = skb->len + tag_length(skb), size = skb->gso_size, header = h->payload;

	h->frames = 1;
	h->bytes = n;
	if (size == 0)
		return;
	if (skb->gso_segs > 1 && skb->wire_len > skb->len) {
		h->frames = skb->gso_segs;
		h->bytes = skb->wire_len + h->frames * tag_length(skb);
		return;
	}
	if (header == 0)
		return;
	header += tag_length(skb);
	if (header >= n)
		return;
	h->frames = (n - header + size - 1) / size;
	h->bytes = n + (h->frames - 1) * header;
}
