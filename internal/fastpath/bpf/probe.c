/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For tests: the programs with a clock that the test sets, and what they find in a frame. */
#include "layout.h"

/* The clock is in the field where Go stores when it copied the flow table. */
static __always_inline __u64 clock_of_test(void)
{
	struct tx_state *l = get_tx_state();

	return l ? l->flows.now : 0;
}

#define bpf_ktime_get_ns clock_of_test
#include "fastpath.c"

struct finding {
	struct headers headers;
	__u64 hash[4]; /* by policy */
	__u32 rx_class;
	__u32 parsed;
	__u32 quoted;
	__u8 report;
	__u8 relays;
	__u8 nics;
	__u8 unused;
};

/* Changes to the frame before it is parsed. */
struct question {
	__u64 salt;
	__u32 tpid; /* not 0: push this tag into skb->vlan_tci */
	__u32 tci;
	__u32 len; /* not 0: truncate the frame */
	__u32 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct question);
} questions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct finding);
} findings SEC(".maps");

SEC("tc")
int probe(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct question *q = bpf_map_lookup_elem(&questions, &zero);
	struct finding *f = bpf_map_lookup_elem(&findings, &zero);
	struct headers h, inner;

	if (!q || !f)
		return -1;
	if (q->len != 0 && bpf_skb_change_tail(skb, q->len, 0) < 0)
		return -1;
	if (q->tpid != 0 && bpf_skb_vlan_push(skb, bpf_htons(q->tpid), q->tci) < 0)
		return -1;
	f->parsed = parse(skb, &h);
	if (!f->parsed)
		return 0;
	wire_count(skb, &h);
	f->headers = h;
	f->hash[LAYER34] = flow_hash(skb, &h, q->salt, LAYER34);
	f->hash[LAYER2] = flow_hash(skb, &h, q->salt, LAYER2);
	f->hash[LAYER23] = flow_hash(skb, &h, q->salt, LAYER23);
	f->hash[VLAN_SRCMAC] = flow_hash(skb, &h, q->salt, VLAN_SRCMAC);
	f->rx_class = rx_class(skb, &h);
	f->report = group_report(&h);
	f->relays = for_the_relay(&h);
	f->nics = for_the_nic(skb, &h);
	f->quoted = h.l4 != 0 && parse_quoted(skb, h.l4 + 8, &inner);
	return 0;
}
