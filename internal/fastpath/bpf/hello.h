/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Probes from one member to another one, which are many while frames move: team.HelloFilter. */
#pragma once

#include "leave.h"

/* frame.Probe, from its magic on. */
struct probe {
	__be64 begin; /* magic and version */
	__be64 team;
	__be16 from;
	__be16 to;
	__be32 seq;
	__be64 sent;
	__u8 op;
} __attribute__((packed));

#define PROBE_BEGIN 0x6e69637465616d01ULL
#define PROBE_HELLO 1

/* Notes a probe instead of passing it to the relay, if Go reads the notes of who sent it. */
__noinline int note_hello(struct __sk_buff *skb, struct cpu_state *cpu, __u32 id)
{
	struct control *c = get_control();
	struct probe p;

	id &= MAX_MEMBERS - 1;
	if (!cpu || c->hello_from[id] == 0 || skb->protocol != bpf_htons(TYPE_PROBE) || skb->vlan_present)
		return 0;
	if (bpf_skb_load_bytes(skb, ETHER_LEN, &p, sizeof(p)) < 0)
		return 0;
	if (p.begin != bpf_cpu_to_be64(PROBE_BEGIN) || p.op != PROBE_HELLO || p.team != bpf_cpu_to_be64(c->hello_team) ||
	    bpf_ntohs(p.to) != id || bpf_ntohs(p.from) + 1 != c->hello_from[id])
		return 0;
	struct hello *h = &c->hellos[id];
	h->at = bpf_ktime_get_ns();
	h->sent = bpf_be64_to_cpu(p.sent);
	*(volatile __u32 *)&h->seq = bpf_ntohl(p.seq); /* last: Go reads it first */
	count(cpu->members[id].rx, OTHER, 1, skb->len);
	return 1;
}
