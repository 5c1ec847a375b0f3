/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What isolates a member from the host's stack: a program of its own (isolate.c), or the data path's for what that lets
 * pass (internal/fastpath/bpf/fastpath.c).
 *
 * The stack's IP and ARP get nothing, because they get it by the adapter. All other protocols pass: EAPOL, LLDP, PTP,
 * MACsec, OAM and whatever else has a socket or a part of the kernel on the NIC. Frames of ARP, and answers of DHCP to
 * a client on the NIC, reach sockets only: they are marked PACKET_OTHERHOST, which no protocol of the stack accepts.
 * Tagged frames do not pass, except those of VLAN 0, which have only a priority.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ACT_NEXT -1
#define ACT_DROP 2

#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_VLAN 0x8100
#define TYPE_IPV6 0x86dd
#define TYPE_QINQ 0x88a8

#define L3 14
#define IPV6_LEN 40
#define PROTO_UDP 17
#define CLIENT4 68
#define CLIENT6 546

#define AF_INET 2

/* Packet sockets receive the frame, the stack does not. */
static __always_inline int sockets_only(struct __sk_buff *skb)
{
	return bpf_skb_change_type(skb, PACKET_OTHERHOST) == 0 ? ACT_NEXT : ACT_DROP;
}

/* Whether a UDP socket bound to this NIC receives the packet. */
static __always_inline int has_socket(struct __sk_buff *skb, struct bpf_sock_tuple *t, __u32 size)
{
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, t, size, BPF_F_CURRENT_NETNS, 0);
	int bound = 0;

	if (sk) {
		bound = sk->bound_dev_if == skb->ifindex;
		bpf_sk_release(sk);
	}
	return bound;
}

/* Whether the stack would deliver a packet from this NIC locally, and not forward it. */
static __always_inline int delivered_locally(struct __sk_buff *skb, __be32 from, __be32 to)
{
	struct bpf_fib_lookup q = { .family = AF_INET, .ifindex = skb->ifindex, .ipv4_src = from, .ipv4_dst = to };

	if (to == 0xffffffff)
		return 1;
	int got = bpf_fib_lookup(skb, &q, sizeof(q), 0);
	return got == BPF_FIB_LKUP_RET_NOT_FWDED || got == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

static __always_inline int dhcp4_answer(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	__u8 b[20];
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, L3 + 9, b, 1) < 0 || b[0] != PROTO_UDP)
		return ACT_DROP;
	if (bpf_skb_load_bytes(skb, L3, b, sizeof(b)) < 0 || b[0] >> 4 != 4 || (b[6] & 0x1f) || b[7])
		return ACT_DROP;
	if (bpf_skb_load_bytes(skb, L3 + (b[0] & 0xf) * 4, ports, sizeof(ports)) < 0 || ports[1] != bpf_htons(CLIENT4))
		return ACT_DROP;
	__builtin_memcpy(&t.ipv4.saddr, b + 12, 4);
	__builtin_memcpy(&t.ipv4.daddr, b + 16, 4);
	t.ipv4.sport = ports[0];
	t.ipv4.dport = ports[1];
	if (!has_socket(skb, &t, sizeof(t.ipv4)))
		return sockets_only(skb);
	if (skb->pkt_type != PACKET_HOST && skb->pkt_type != PACKET_OTHERHOST)
		return ACT_NEXT;
	/* It may be for the adapter too: it must not be forwarded both here and there. */
	if (!delivered_locally(skb, t.ipv4.saddr, t.ipv4.daddr))
		return sockets_only(skb);
	bpf_skb_change_type(skb, PACKET_HOST);
	return ACT_NEXT;
}

static __always_inline int dhcp6_answer(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	__be16 ports[2];
	__u8 next;

	if (bpf_skb_load_bytes(skb, L3 + 6, &next, 1) < 0 || next != PROTO_UDP)
		return ACT_DROP;
	if (bpf_skb_load_bytes(skb, L3 + IPV6_LEN, ports, sizeof(ports)) < 0 || ports[1] != bpf_htons(CLIENT6))
		return ACT_DROP;
	if (bpf_skb_load_bytes(skb, L3 + 8, t.ipv6.saddr, 32) < 0)
		return ACT_DROP;
	t.ipv6.sport = ports[0];
	t.ipv6.dport = ports[1];
	if (!has_socket(skb, &t, sizeof(t.ipv6)))
		return sockets_only(skb);
	/* Answers go to link-local addresses, which are never forwarded. */
	if (skb->pkt_type == PACKET_OTHERHOST && (t.ipv6.daddr[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
		bpf_skb_change_type(skb, PACKET_HOST);
	return ACT_NEXT;
}

static __always_inline int isolate_frame(struct __sk_buff *skb)
{
	if (skb->vlan_present && skb->vlan_tci & 0xfff)
		return ACT_DROP;
	switch (bpf_ntohs(skb->protocol)) {
	case TYPE_IPV4:
		return dhcp4_answer(skb);
	case TYPE_IPV6:
		return dhcp6_answer(skb);
	case TYPE_ARP:
		return sockets_only(skb);
	case TYPE_VLAN:
	case TYPE_QINQ:
		return ACT_DROP;
	}
	return ACT_NEXT;
}
