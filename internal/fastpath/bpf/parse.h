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
#define UDP_LEN 8
#define TCP_LEN 20

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
	__u16 vlan;  /* as frame.Station has it */
	__u64 advert; /* advert_station, of a received frame */
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

/* For an ordinary frame: parse has found any other one's tag. */
static __always_inline void find_tag(struct __sk_buff *skb, const __u8 *b, struct headers *h)
{
	if (!b)
		return;
	h->tci = h->vlan = h->vlans = 0;
	take_stripped_tag(skb, h);
}

/* frame.StationOf */
static __always_inline __u64 station_of(const struct headers *h, __u64 mac) { return mac << VLAN_BITS | h->vlan; }

static __always_inline __u64 mac_at(const __u8 *b)
{
	return (__u64)b[0] << 40 | (__u64)b[1] << 32 | (__u64)b[2] << 24 | (__u64)b[3] << 16 | (__u64)b[4] << 8 | b[5];
}

/* Numbers in a frame. The programs of tc read ordinary frames directly, at b (lean.h). If b is 0 the kernel copies the
 * number, at several times the cost. What is read directly lies at a multiple of its size from the IP header, as
 * processors want it that cannot read at odd addresses. */
static __always_inline __u64 load64(struct __sk_buff *skb, const __u8 *b, __u32 at)
{
	__be64 w = 0;

	if (b)
		return bpf_be64_to_cpu(*(const __be64 *)(b + at));
	bpf_skb_load_bytes(skb, at, &w, sizeof(w));
	return bpf_be64_to_cpu(w);
}

static __always_inline __u32 load32(struct __sk_buff *skb, const __u8 *b, __u32 at)
{
	__be32 w = 0;

	if (b)
		return bpf_ntohl(*(const __be32 *)(b + at));
	bpf_skb_load_bytes(skb, at, &w, sizeof(w));
	return bpf_ntohl(w);
}

static __always_inline __u16 load16(struct __sk_buff *skb, const __u8 *b, __u32 at)
{
	__be16 w = 0;

	if (b)
		return bpf_ntohs(*(const __be16 *)(b + at));
	bpf_skb_load_bytes(skb, at, &w, sizeof(w));
	return bpf_ntohs(w);
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

/* The verifier checks a function that is not static once, by itself. */
__noinline int parse(struct __sk_buff *skb, struct headers *h)
{
	__u8 b[ETHER_LEN];

	if (!h)
		return 0;
	__builtin_memset(h, 0, sizeof(*h));
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
static __always_inline int for_the_nic(struct __sk_buff *skb, const __u8 *b, struct headers *h)
{
	if (h->ethertype != TYPE_IPV4 && h->ethertype != TYPE_IPV6)
		return h->vlan == 0 && h->vlans <= 1;
	if (h->protocol != UDP || h->l4 == 0)
		return 0;
	__u16 port = load16(skb, b, h->l4 + 2);
	if (port != CLIENT4 && port != CLIENT6)
		return 0;
	find_tag(skb, b, h);
	return h->vlan == 0 && h->vlans <= 1;
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

/* Where an ordinary frame's payload begins, found only where it is asked for; of any other frame parse has found it. */
static __always_inline __u32 payload_of(struct __sk_buff *skb, const __u8 *b, const struct headers *h)
{
	if (!b)
		return h->payload;
	if (h->ip_proto == PROTO_UDP)
		return h->l4 + UDP_LEN;
	__u32 n = (load16(skb, b, h->l4 + 12) >> 12) * 4;
	return n >= TCP_LEN && n <= skb->len - h->l4 ? h->l4 + n : 0;
}

/* frame.WireCount. For transmitted frames the kernel counts, super-frames of tunnels included. */
static __always_inline void wire_count(struct __sk_buff *skb, const __u8 *b, struct headers *h)
{
	__u32 n = skb->len + tag_length(skb), size = skb->gso_size;

	h->frames = 1;
	h->bytes = n;
	if (size == 0)
		return;
	if (skb->gso_segs > 1 && skb->wire_len > skb->len) {
		h->frames = skb->gso_segs;
		h->bytes = skb->wire_len + h->frames * tag_length(skb);
		return;
	}
	__u32 header = payload_of(skb, b, h);
	if (header == 0)
		return;
	header += tag_length(skb);
	if (header >= n)
		return;
	h->frames = (n - header + size - 1) / size;
	h->bytes = n + (h->frames - 1) * header;
}
