/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The fast path: internal/relay in the kernel. The relay stays, and moves the frames that these programs pass on.
 *
 * transmit: tc egress of the adapter. The host's stack transmits a (super-)frame. It is parsed once; the plan gives the
 * member by which it leaves, and its address if the plan is per member; it is counted and redirected to the member's
 * qdisc. Frames for the relay pass and come out of the adapter's descriptor.
 *
 * relay_filter: socket filter of the relay's socket of a member, run just before receive for the same frame. It accepts
 * everything while the relay moves received frames, else only frames for the relay, and nothing once these pass by the
 * ring. Then the socket does not even listen.
 *
 * receive: tc ingress of a member. A frame is accepted or not; it gets the adapter's address; it is counted and
 * redirected into the adapter as received there. Frames for the relay pass: it has them by the ring, or has them
 * already by the socket. So do frames that are for the NIC itself too. On both, and on all frames while the relay moves
 * them, the isolation decides: receive takes the place of the program that is nothing else.
 */
#include "gate.h"
#include "round_robin.h"
#include "migration.h"
#include "shortest.h"
#include "accept.h"
#include "hello.h"
#include "lean.h"
#include "leave.h"
#include "plain.h"
#include "ring.h"
#include "../../tchook/bpf/isolate.h"

/* Set by Go before the programs are loaded. Tests see what receive lets pass. */
volatile const __u32 isolates = 0;

/* The member by which a frame leaves, NO_MEMBER for none, and the slot of its flow. */
static __always_inline __u32 pick(struct __sk_buff *skb, const __u8 *b, const struct plan *pl, struct headers *h,
				  int behind, __u32 *flow_slot)
{
	__u32 rule = pl->rule, id = MAX_MEMBERS;

	if (rule == RULE_SINGLE)
		return pl->single;
	if (rule == RULE_SHORTEST)
		id = fixed_member(pl, h, behind);
	if (rule == RULE_SLOTS || (rule == RULE_SHORTEST && id == MAX_MEMBERS)) {
		__u64 hash = flow_hash(skb, b, h, pl->start, pl->hash);
		*flow_slot = hash % FLOW_COUNT;
		if (rule == RULE_SLOTS) {
			*flow_slot = hash % SLOT_COUNT;
			if (!pl->migrating)
				return pl->slots[*flow_slot & (SLOT_COUNT - 1)];
		}
	}
	struct tx_state *l = get_tx_state();
	if (rule == RULE_ROUND_ROBIN)
		return pl->n == 0 ? NO_MEMBER : next_round_robin(pl, &l->round_robin, h->bytes);
	__s64 now = bpf_ktime_get_ns();
	if (rule == RULE_SLOTS)
		return migrating_member(pl, &l->migration, *flow_slot, now);
	if (rule != RULE_SHORTEST)
		return NO_MEMBER;
	if (id == MAX_MEMBERS)
		return pick_flow_member(pl, &l->flows, *flow_slot, h->bytes, now);
	if (in_set(pl->distributing, id)) {
		charge(&l->flows.members[id & 63], h->bytes, now);
		__sync_fetch_and_add(&l->flows.members[id & 63].fixed, h->bytes);
	}
	return id;
}

__noinline int spread_copies(struct __sk_buff *skb, struct plan *pl, struct cpu_state *cpu, const struct leaving *f)
{
	if (!pl || !cpu || !f)
		return ACT_DROP;
	__u64 skb_bytes = barrier_value(skb->len);
	for (__u32 i = 0; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u32 id = pl->ids[i] & 63, to = pl->ifindex[id];
		struct member_counters *t = &cpu->members[id];
		if (to != 0 && i + 1 == pl->n) {
			count_tx(t, skb_bytes, f);
			return bpf_redirect(to, 0);
		}
		/* > 0: the qdisc dropped this copy, or an earlier frame in its place. < 0: the NIC is down. */
		int sent = to != 0 ? bpf_clone_redirect(skb, to, 0) : -1;
		if (sent > 0)
			t->tx_drop[DROP_BACKLOG] += f->frames;
		else if (sent < 0)
			t->tx_drop[DROP_REFUSED] += f->frames;
		else
			count_tx(t, skb_bytes, f);
	}
	return pl->n ? ACT_DROP : drop_unassigned(cpu, DROP_NO_MEMBER, f->frames);
}

/* The adapter sends from a MAC that is not its own. Returns whether it is behind the adapter and the plan has the
 * station. */
enum { UNKNOWN_STATION, STATION_BEHIND };

__noinline int note_station(struct plan *pl, __u64 mac, __u64 station)
{
	if (!pl)
		return UNKNOWN_STATION;
	__u64 now = bpf_ktime_get_ns();
	struct address *a = address_of(pl, mac);
	struct station *known = 0;
	if (a && view_of(pl, a)->kind == BEHIND)
		known = bpf_map_lookup_elem(&stations, &station);
	if (!known) {
		note_recent(get_control(), station, now);
		return UNKNOWN_STATION;
	}
	known->sent = now;
	return STATION_BEHIND;
}

/* b: the frame, if it is an ordinary one (lean.h). */
static __always_inline int transmit_parsed(struct __sk_buff *skb, struct cpu_state *cpu, struct plan *pl,
					   const __u8 *b, struct headers *h)
{
	int relays = for_the_relay(h), behind = 0;

	if (h->src != pl->adapter && !multicast(h->src) && h->src != 0) {
		find_tag(skb, b, h);
		behind = note_station(pl, h->src, station_of(h, h->src)) == STATION_BEHIND;
		__u64 advert = b ? 0 : advert_station(skb, h);
		struct control *c = advert ? get_control() : 0;
		if (c)
			note_recent(c, advert, bpf_ktime_get_ns());
		/* The relay reports a station that the plan does not have to the control loop. */
		relays |= !behind;
	}
	if (relays)
		return ACT_NEXT;
	wire_count(skb, b, h);
	struct leaving f = {.src = h->src, .bytes = h->bytes, .frames = h->frames, .protocol = h->protocol, .slot = NO_SLOT,
			    .unicast = !multicast(h->dst), .own_mac = h->src == pl->adapter || group_report(h)};
	if (pl->rule == RULE_BROADCAST) {
		struct leaving copies = f; /* in memory, and f in registers */
		return spread_copies(skb, pl, cpu, &copies);
	}
	__u32 id = pick(skb, b, pl, h, behind, &f.slot);
	return leave(skb, pl, cpu, id, &f);
}

#define RELAYS -3 /* a frame for the relay */

/* The two ways are functions of their own: the verifier checks each by itself, and neither takes registers or stack
 * from the other. */
__noinline int transmit_ordinary(struct __sk_buff *skb, struct cpu_state *cpu, struct plan *pl)
{
	struct headers h4, h6;
	const __u8 *b;

	if (!cpu || !pl)
		return ACT_NEXT;
	if (parse_ordinary4(skb, &b, &h4))
		return transmit_parsed(skb, cpu, pl, b, &h4);
	if (parse_ordinary6(skb, &b, &h6))
		return transmit_parsed(skb, cpu, pl, b, &h6);
	return NOT_ORDINARY;
}

__noinline int transmit_any(struct __sk_buff *skb, struct cpu_state *cpu, struct plan *pl)
{
	struct headers h;

	if (!cpu || !pl)
		return ACT_NEXT;
	if (!parse(skb, &h))
		return drop_unassigned(cpu, DROP_MALFORMED, 1);
	return transmit_parsed(skb, cpu, pl, 0, &h);
}

static __always_inline int transmit_frame(struct __sk_buff *skb, struct cpu_state *cpu)
{
	struct control *c = get_control();
	struct plan *pl = active_plan(c);

	switch (read_gate(&c->transmit_gate)) {
	case GATE_FAST:
		break;
	case GATE_SHUT:
		return drop_unassigned(cpu, DROP_BACKLOG, skb->gso_segs ?: 1);
	default:
		return ACT_NEXT;
	}
	int verdict = transmit_plain(skb, cpu, pl);
	if (verdict != NOT_ORDINARY)
		return verdict;
	verdict = transmit_ordinary(skb, cpu, pl);
	return verdict == NOT_ORDINARY ? transmit_any(skb, cpu, pl) : verdict;
}

SEC("tc")
int transmit(struct __sk_buff *skb)
{
	struct cpu_state *cpu = this_cpu();

	if (!cpu)
		return ACT_NEXT;
	count_end(&cpu->transmitting);
	int verdict = transmit_frame(skb, cpu);
	count_end(&cpu->transmitting);
	return verdict;
}

SEC("socket")
int relay_filter(struct __sk_buff *skb)
{
	struct control *c = get_control();
	struct cpu_state *cpu = this_cpu();
	struct headers h;

	if (!cpu)
		return -1;
	__u32 id = barrier_value(member_by_ifindex(c, skb->ifindex));
	if (id >= MAX_MEMBERS)
		return -1;
	cpu->ifindex = skb->ifindex;
	cpu->decided = read_gate(&c->receive_gate[id]);
	if (cpu->decided == GATE_SHUT || by_ring(cpu->decided))
		return 0;
	if (cpu->decided != GATE_FAST)
		return -1;
	if (never_for_the_relay(skb))
		return 0;
	return parse(skb, &h) && for_the_relay(&h) ? -1 : 0;
}

/* The adapter gets a copy, the NIC the unchanged frame. */
__noinline int deliver_both(struct __sk_buff *skb, __u32 adapter, __u64 to, __u64 dst)
{
	if (to != dst)
		store_mac(skb, 0, to);
	bpf_clone_redirect(skb, adapter, BPF_F_INGRESS);
	if (to != dst)
		store_mac(skb, 0, dst);
	return ACT_NEXT;
}

/* b: the frame, if it is an ordinary one. */
static __always_inline int receive_parsed(struct __sk_buff *skb, struct plan *pl, struct member_counters *t,
					  __u32 id, const __u8 *b, struct headers *h)
{
	wire_count(skb, b, h);
	__u32 verdict = accept(skb, pl, t, id, b, h);
	int nics = for_the_nic(skb, b, h);
	if (verdict == FOR_NOBODY)
		return nics ? ACT_NEXT : ACT_DROP;
	if (verdict == FOR_US && pl->per_member)
		count_class(skb, b, h);
	count(t->rx, h->protocol, h->frames, h->bytes);
	if (!multicast(h->dst))
		t->rx_unicast += h->frames;
	if (nics)
		return deliver_both(skb, get_control()->adapter, verdict == FOR_US ? pl->adapter : h->dst, h->dst);
	if (verdict == FOR_US && h->dst != pl->adapter)
		store_mac(skb, 0, pl->adapter);
	return bpf_redirect(get_control()->adapter, BPF_F_INGRESS);
}

__noinline int receive_ordinary(struct __sk_buff *skb, struct cpu_state *cpu, struct plan *pl, __u32 id)
{
	struct headers h4, h6;
	const __u8 *b;

	if (!cpu || !pl)
		return ACT_NEXT;
	id &= MAX_MEMBERS - 1;
	struct member_counters *t = &cpu->members[id];
	if (parse_ordinary4(skb, &b, &h4))
		return receive_parsed(skb, pl, t, id, b, &h4);
	if (parse_ordinary6(skb, &b, &h6))
		return receive_parsed(skb, pl, t, id, b, &h6);
	return NOT_ORDINARY;
}

__noinline int receive_any(struct __sk_buff *skb, struct cpu_state *cpu, struct plan *pl, __u32 id)
{
	struct headers h;

	if (!cpu || !pl || !parse(skb, &h))
		return ACT_NEXT;
	if (for_the_relay(&h))
		return RELAYS;
	id &= MAX_MEMBERS - 1;
	return receive_parsed(skb, pl, &cpu->members[id], id, 0, &h);
}

static __always_inline int receive_frame(struct __sk_buff *skb, struct control *c, struct cpu_state *cpu, __u32 id)
{
	struct plan *pl = active_plan(c);
	struct member_counters *t = &cpu->members[id & 63];
	__u32 gate = decided_gate(skb, c, cpu, id);
	if (gate == GATE_SHUT) {
		t->rx_drop[DROP_SOCKET] += skb->gso_segs ?: 1;
		return ACT_DROP;
	}
	if (gate != GATE_FAST && !by_ring(gate))
		return ACT_NEXT;
	int verdict = receive_plain(skb, cpu, pl, id);
	if (verdict != NOT_ORDINARY)
		return verdict;
	verdict = receive_ordinary(skb, cpu, pl, id);
	if (verdict == NOT_ORDINARY)
		verdict = receive_any(skb, cpu, pl, id);
	if (verdict != RELAYS)
		return verdict;
	if (by_ring(gate) && !note_hello(skb, cpu, id) && !pass_by_ring(skb, cpu, id & 63))
		t->rx_drop[DROP_SOCKET]++;
	return ACT_NEXT;
}

static __always_inline int receive_counted(struct __sk_buff *skb)
{
	struct control *c = get_control();
	struct cpu_state *cpu = this_cpu();

	if (!cpu)
		return ACT_NEXT;
	__u32 id = barrier_value(member_by_ifindex(c, skb->ifindex));
	if (id >= MAX_MEMBERS)
		return ACT_NEXT;
	count_end(&cpu->receiving);
	int verdict = receive_frame(skb, c, cpu, id);
	count_end(&cpu->receiving);
	return verdict;
}

__noinline int isolate(struct __sk_buff *skb) { return isolate_frame(skb); }

SEC("tc")
int receive(struct __sk_buff *skb)
{
	int verdict = receive_counted(skb);

	return verdict == ACT_NEXT && isolates != 0 ? isolate(skb) : verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
