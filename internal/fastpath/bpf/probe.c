/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* For tests: the programs with a clock that the test sets, and what they find in a frame. */
#include "layout.h"

/* The clock is in the field where Go stores when it copied the flow table. */
static __always_inline __u64 clock_of_test(void)
{
	return get_tx_state()->flows.now;
}

#define bpf_ktime_get_ns clock_of_test
#include "fastpath.c"

/* What one of the two ways knows of a frame. */
struct known {
	struct headers headers;
	__u64 hash[4]; /* by policy */
	__u32 rx_class;
	__u8 report;
	__u8 relays;
	__u8 nics;
	__u8 unused;
};

struct finding {
	struct known any;
	struct known ordinary; /* by direct access (lean.h) */
	__u32 parsed;
	__u32 quoted;
	__u32 is_ordinary;
	__u32 unused;
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

static __always_inline void learn(struct __sk_buff *skb, const __u8 *b, struct headers *h, __u64 salt, struct known *to)
{
	wire_count(skb, b, h);
	find_tag(skb, b, h);
	to->headers = *h;
	to->headers.payload = payload_of(skb, b, h);
	salt = mix(HASH_START, salt);
	to->hash[LAYER34] = flow_hash(skb, b, h, salt, LAYER34);
	to->hash[LAYER2] = flow_hash(skb, b, h, salt, LAYER2);
	to->hash[LAYER23] = flow_hash(skb, b, h, salt, LAYER23);
	to->hash[VLAN_SRCMAC] = flow_hash(skb, b, h, salt, VLAN_SRCMAC);
	to->rx_class = rx_class(skb, b, h);
	to->report = group_report(h);
	to->relays = for_the_relay(h);
	to->nics = for_the_nic(skb, b, h);
}

SEC("tc")
int probe(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct question *q = bpf_map_lookup_elem(&questions, &zero);
	struct finding *f = bpf_map_lookup_elem(&findings, &zero);
	struct headers any, h4, h6, inner;

	if (!q || !f)
		return -1;
	if (q->len != 0 && bpf_skb_change_tail(skb, q->len, 0) < 0)
		return -1;
	if (q->tpid != 0 && bpf_skb_vlan_push(skb, bpf_htons(q->tpid), q->tci) < 0)
		return -1;
	f->parsed = parse(skb, &any);
	if (!f->parsed)
		return 0;
	learn(skb, 0, &any, q->salt, &f->any);
	f->quoted = any.l4 != 0 && parse_quoted(skb, any.l4 + 8, &inner);
	const __u8 *b;
	if (parse_ordinary4(skb, &b, &h4))
		learn(skb, b, &h4, q->salt, &f->ordinary);
	else if (parse_ordinary6(skb, &b, &h6))
		learn(skb, b, &h6, q->salt, &f->ordinary);
	else
		return 0;
	f->is_ordinary = 1;
	return 0;
}
