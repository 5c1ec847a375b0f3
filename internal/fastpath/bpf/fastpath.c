/*
 * The fast path: what internal/relay does, done by the kernel where a frame comes by. The relay stays, and moves what
 * these programs pass on.
 *
 * transmit: tc egress of the adapter. The host's stack sends a (super-)frame; it is parsed once; the plan says by which
 * member it leaves; it gets the member's address where the plan is per member; it is counted and goes to the member's
 * own queue. What is for the relay passes, and comes out of the adapter's descriptor.
 *
 * listen: a filter on the relay's socket of a member, run just before receive for the same frame. It takes everything
 * while the relay moves what is received, and else what is for the relay only.
 *
 * receive: tc ingress of a member, before the program that hides the member from the host's stack. A frame is accepted
 * or not; it gets the adapter's address; it is counted and goes into the adapter as if that had received it. What the
 * relay has got passes, and so does what is also the NIC's own business: the program that hides the member sees to it.
 */
#include "gate.h"
#include "turns.h"
#include "moving.h"
#include "shortest.h"
#include "accept.h"

#define NEXT -1
#define SHOT 2

enum { SPREAD_NONE, SPREAD_SINGLE, SPREAD_SLOTS, SPREAD_ROUND_ROBIN, SPREAD_BROADCAST, SPREAD_SHORTEST };

static __always_inline int lost(struct row *row, __u32 drop, __u32 frames)
{
	row->no_member[drop] += frames;
	return SHOT;
}

static __always_inline void count(struct count *to, const struct headers *h)
{
	if (h->protocol >= PROTOCOLS)
		return;
	to[h->protocol].frames += h->frames;
	to[h->protocol].bytes += h->bytes;
}

/* A member is given a frame of so many octets. */
static __always_inline void sent_by(struct tally *t, __u64 octets, const struct headers *h)
{
	count(t->tx, h);
	t->tx_octets += octets;
}

static __always_inline void put_mac(struct __sk_buff *skb, __u32 at, __u64 mac)
{
	__be64 b = bpf_cpu_to_be64(mac << 16);
	bpf_skb_store_bytes(skb, at, &b, 6, 0);
}

/* The member for a frame, NO_MEMBER for none. */
static __always_inline __u32 pick(struct __sk_buff *skb, const struct plan *pl, struct ledger *l, const struct headers *h, int behind)
{
	switch (pl->spread) {
	case SPREAD_SINGLE:
		return pl->single;
	case SPREAD_SLOTS: {
		__u32 slot = flow_hash(skb, h, pl->salt, pl->hash) % SLOT_COUNT;
		return pl->moving ? moving_member(pl, &l->moving, slot, bpf_ktime_get_ns()) : pl->slots[slot];
	}
	case SPREAD_ROUND_ROBIN:
		return pl->n == 0 ? NO_MEMBER : next_turn(pl, &l->turns, h->bytes);
	case SPREAD_SHORTEST: {
		__s64 now = bpf_ktime_get_ns();
		__u32 id = fixed_member(pl, h, behind);
		if (id == MAX_MEMBERS)
			return decide(pl, &l->flows, flow_hash(skb, h, pl->salt, pl->hash) % FLOW_COUNT, h->bytes, now);
		if (has(pl->distributing, id)) {
			charge(&l->flows.members[id & 63], h->bytes, now);
			__sync_fetch_and_add(&l->flows.members[id & 63].fixed, h->bytes);
		}
		return id;
	}
	}
	return NO_MEMBER;
}

__noinline int spread_copies(struct __sk_buff *skb, struct plan *pl, struct row *row, const struct headers *h)
{
	if (!pl || !row || !h)
		return SHOT;
	__u64 octets = seen(skb->len);
	for (__u32 i = 0; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u32 id = pl->ids[i] & 63, to = pl->ifindex[id];
		struct tally *t = &row->members[id];
		if (to != 0 && i + 1 == pl->n) {
			sent_by(t, octets, h);
			return bpf_redirect(to, 0);
		}
		/* Its queue has dropped the copy, or an earlier one in its favour, or the NIC is down. */
		int sent = to != 0 ? bpf_clone_redirect(skb, to, 0) : -1;
		if (sent > 0)
			t->tx_drop[DROP_BACKLOG] += h->frames;
		else if (sent < 0)
			t->tx_drop[DROP_REFUSED] += h->frames;
		else
			sent_by(t, octets, h);
	}
	return pl->n ? SHOT : lost(row, DROP_NO_MEMBER, h->frames);
}

static __always_inline int move_out(struct __sk_buff *skb, struct control *c, struct row *row)
{
	struct plan *pl = the_plan(c);
	struct ledger *l = the_ledger();
	struct headers h;
	int behind = 0;

	if (!pl || !l)
		return NEXT;
	switch (gate_pass(&c->transmit_gate)) {
	case GATE_FAST:
		break;
	case GATE_SHUT:
		return lost(row, DROP_BACKLOG, skb->gso_segs ?: 1);
	default:
		return NEXT;
	}
	if (!parse(skb, &h))
		return lost(row, DROP_MALFORMED, 1);
	int relays = for_the_relay(&h);
	if (h.src != pl->adapter && !multicast(h.src) && h.src != 0) {
		__u64 now = bpf_ktime_get_ns();
		struct address *a = address_of(pl, h.src);
		__u64 station = station_of(&h, h.src);
		struct station *known = 0;
		if (a && view_of(pl, a)->kind == BEHIND) {
			known = bpf_map_lookup_elem(&stations, &station);
			behind = 1;
		}
		if (known) {
			known->sent = now;
		} else {
			/* The relay has the control loop hear of it. */
			note_guest(c, station, now);
			relays = 1;
		}
	}
	if (relays)
		return NEXT;
	wire_count(skb, &h);
	if (pl->spread == SPREAD_BROADCAST)
		return spread_copies(skb, pl, row, &h);
	__u32 id = pick(skb, pl, l, &h, behind);
	if (!has(pl->distributing, id))
		return lost(row, DROP_NO_MEMBER, h.frames);
	id &= 63;
	__u32 to = pl->ifindex[id];
	if (to == 0)
		return lost(row, DROP_NO_MEMBER, h.frames);
	if (pl->per_member && (h.src == pl->adapter || group_report(&h)) && pl->mac[id] != h.src)
		put_mac(skb, 6, pl->mac[id]);
	sent_by(&row->members[id], skb->len, &h);
	return bpf_redirect(to, 0);
}

SEC("tc")
int transmit(struct __sk_buff *skb)
{
	struct control *c = the_control();
	struct row *row = the_row();

	if (!c || !row)
		return NEXT;
	__sync_fetch_and_add(&row->transmitting, 1);
	int verdict = move_out(skb, c, row);
	__sync_fetch_and_add(&row->transmitting, 1);
	return verdict;
}

SEC("socket")
int listen(struct __sk_buff *skb)
{
	struct control *c = the_control();
	struct row *row = the_row();
	__u32 ifindex = skb->ifindex;
	__u32 *found = bpf_map_lookup_elem(&members, &ifindex);
	struct headers h;

	if (!c || !row || !found)
		return -1;
	__u32 id = seen(*found);
	if (id >= MAX_MEMBERS)
		return -1;
	row->ifindex = ifindex;
	row->member = id;
	row->decided = gate_pass(&c->receive_gate[id]);
	if (row->decided == GATE_SHUT)
		return 0;
	if (row->decided != GATE_FAST)
		return -1;
	if (surely_not_for_the_relay(skb))
		return 0;
	return parse(skb, &h) && for_the_relay(&h) ? -1 : 0;
}

/* The adapter gets a copy, and the NIC the frame as it came. */
__noinline int share(struct __sk_buff *skb, __u32 adapter, __u64 to, __u64 dst)
{
	if (to != dst)
		put_mac(skb, 0, to);
	bpf_clone_redirect(skb, adapter, BPF_F_INGRESS);
	if (to != dst)
		put_mac(skb, 0, dst);
	return NEXT;
}

static __always_inline int move_in(struct __sk_buff *skb, struct control *c, struct row *row, __u32 id)
{
	struct plan *pl = the_plan(c);
	struct tally *t = &row->members[id & 63];
	struct headers h;

	if (!pl)
		return NEXT;
	if (row->decided == GATE_SHUT) {
		t->rx_drop[DROP_SOCKET] += skb->gso_segs ?: 1;
		return SHOT;
	}
	if (row->decided != GATE_FAST)
		return NEXT;
	if (!parse(skb, &h))
		return NEXT;
	if (for_the_relay(&h))
		return NEXT;
	wire_count(skb, &h);
	__u32 verdict = accept_frame(c, pl, t, id & 63, &h);
	int nics = of_the_nic(skb, &h);
	if (verdict == FOR_NOBODY)
		return nics ? NEXT : SHOT;
	if (verdict == FOR_US && pl->per_member) {
		__u32 slot = heard_slot(skb, &h);
		__u64 *sum = bpf_map_lookup_elem(&heard, &slot);
		if (sum)
			__sync_fetch_and_add(sum, h.bytes);
	}
	count(t->rx, &h);
	if (nics)
		return share(skb, c->adapter, verdict == FOR_US ? pl->adapter : h.dst, h.dst);
	if (verdict == FOR_US && h.dst != pl->adapter)
		put_mac(skb, 0, pl->adapter);
	return bpf_redirect(c->adapter, BPF_F_INGRESS);
}

SEC("tc")
int receive(struct __sk_buff *skb)
{
	struct control *c = the_control();
	struct row *row = the_row();
	__u32 ifindex = skb->ifindex;

	if (!c || !row)
		return NEXT;
	/* Listen has just seen the same frame. */
	__u32 id = row->member;
	if (row->ifindex != ifindex) {
		__u32 *found = bpf_map_lookup_elem(&members, &ifindex);
		if (!found)
			return NEXT;
		id = *found;
	}
	if (id >= MAX_MEMBERS)
		return NEXT;
	__sync_fetch_and_add(&row->receiving, 1);
	int verdict = move_in(skb, c, row, id);
	__sync_fetch_and_add(&row->receiving, 1);
	return verdict;
}

char _license[] SEC("license") = "GPL";
