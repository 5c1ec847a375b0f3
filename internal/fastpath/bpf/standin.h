/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Members whose NIC has no link, and who sends in their place: modes/spread/standin.go. */
#pragma once

#include "round_robin.h"
#include "shortest.h"

/* Of net_device.state: enum netdev_state_t. Go compares them with the kernel's types. */
#define STATE_START 1
#define STATE_PRESENT 2
#define STATE_NOCARRIER 4

#define LOSS_INTERVAL 10000000ULL

/* Where the kernel has what these programs read of a NIC, by its own types: Go sets it before the programs are loaded.
 * 0 for all: they do not look, and the verifier removes what does. */
volatile const __u32 skb_dev_at = 0;
volatile const __u32 device_state_at = 0;
volatile const __u32 device_type = 0; /* of struct net_device, for bpf_rdonly_cast; 0: it does not exist */

extern void *bpf_rdonly_cast(const void *obj, __u32 type) __ksym __weak;

/* The address of a NIC, and as verdict the bits above of its state. Go runs it, on a frame that comes by the NIC. */
SEC("tc")
int find_device(struct __sk_buff *skb)
{
	__u64 device = 0, state = 0;

	if (skb_dev_at != 0)
		bpf_probe_read_kernel(&device, sizeof(device), (void *)skb + skb_dev_at);
	if (device_state_at != 0 && device != 0)
		bpf_probe_read_kernel(&state, sizeof(state), (void *)(device + device_state_at));
	get_control()->device = device;
	return state & (STATE_START | STATE_PRESENT | STATE_NOCARRIER);
}

/* Whether the NIC of a member is up, present and has a carrier. Reading at the address of a NIC that is gone does no
 * harm: the kernel catches faults, and the answer does not matter any more. */
static __always_inline int is_dead(const struct plan *pl, __u32 id)
{
	__u64 device = pl->device[id & (MAX_MEMBERS - 1)], state = 0;

	if (device_state_at == 0 || device == 0)
		return 0;
	if (device_type != 0)
		state = *(volatile __u64 *)(bpf_rdonly_cast((void *)device, device_type) + device_state_at);
	else
		bpf_probe_read_kernel(&state, sizeof(state), (void *)(device + device_state_at));
	return (state & (STATE_START | STATE_PRESENT | STATE_NOCARRIER)) != (STATE_START | STATE_PRESENT);
}

__noinline __u64 dead_of(const struct plan *pl, __u64 set)
{
	__u64 dead = 0;

	if (!pl)
		return 0;
	for (__u32 id = 0; id < MAX_MEMBERS; id++) {
		if (set >> id & 1 && is_dead(pl, id))
			dead |= 1ULL << id;
	}
	return dead;
}

/* The members of the plan that are dead. Go runs it. */
SEC("tc")
int find_dead(struct __sk_buff *skb)
{
	struct control *c = get_control();

	c->dead = dead_of(active_plan(c), ~0ULL);
	return ACT_NEXT;
}

/* spread.Plan.successor */
__noinline __u32 successor(const struct plan *pl)
{
	if (!pl)
		return NO_MEMBER;
	for (__u32 i = 0; i < SUCCESSORS; i++) {
		__u32 id = pl->successors[i];
		if (id >= MAX_MEMBERS)
			break;
		if (!is_dead(pl, id))
			return id;
	}
	return NO_MEMBER;
}

/* spread.StandsIn */
__noinline int stands_in(const struct plan *pl, __u32 id)
{
	if (!pl || pl->rule != RULE_SINGLE || pl->single >= MAX_MEMBERS || !is_dead(pl, pl->single))
		return 0;
	return successor(pl) == id;
}

/* The loops below have no branches: see shortest.h. -1: in the set. */
static __always_inline __s64 member_of(__u64 set, __u64 id) { return -(__s64)(set >> (id & 63) & 1); }

/* The member of a set that ranks first for a slot. */
__noinline __u32 first_in_rank(__u64 set, __u32 slot)
{
	__u64 best = NO_MEMBER;
	__s64 most = -1;

	for (__u64 id = 0; id < MAX_MEMBERS; id++) {
		__s64 r = flow_rank(slot, id) >> 1, more = member_of(set, id) & earlier(most, r);
		most = select(more, r, most);
		best = select(more, id, best);
	}
	return best;
}

/* spread.RoundRobin.lowestOf */
__noinline __u32 lowest_of(const struct plan *pl, const struct round_robin *t, __u64 set)
{
	__u64 best = NO_MEMBER;
	__s64 least = 0, none = -1;

	if (!pl || !t)
		return NO_MEMBER;
	for (__u32 i = 0; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u64 id = pl->ids[i] & 63;
		__s64 c = t->clock[id], less = member_of(set, id) & (none | earlier(c, least));
		least = select(less, c, least);
		best = select(less, id, best);
		none &= ~less;
	}
	return best;
}

__noinline __u32 earliest_of(const struct flow_table *fl, __u64 set, __u64 bytes, __s64 now)
{
	__u64 best = NO_MEMBER;
	__s64 least = 0x7fffffffffffffffLL, none = -1;

	if (!fl)
		return NO_MEMBER;
	for (__u64 id = 0; id < MAX_MEMBERS; id++) {
		__s64 t = finish_time(&fl->members[id], bytes, now), less = member_of(set, id) & (none | earlier(t, least));
		least = select(less, t, least);
		best = select(less, id, best);
		none &= ~less;
	}
	return best;
}

/* spread.FlowTable.earliestOf and spread.FlowTable.standIn */
static __always_inline __u32 flow_stand_in(const struct plan *pl, struct flow_table *fl, __u64 alive, __u32 id,
					   __u32 slot, __u32 bytes)
{
	__s64 now = bpf_ktime_get_ns();
	__u64 set = pl->targets & alive ?: alive;

	if (slot < FLOW_COUNT)
		set = set & ~shut_for(pl, slot) ?: set;
	__u32 to = earliest_of(fl, set, bytes, now);
	if (to >= MAX_MEMBERS)
		return NO_MEMBER;
	struct queue *from = &fl->members[id & 63], *q = &fl->members[to & 63];
	__sync_fetch_and_add(&from->given, -(__u64)bytes);
	__u8 reading = *(volatile __u8 *)&q->reading;
	__s64 until = charge(q, bytes, now);
	if (slot >= FLOW_COUNT) {
		__sync_fetch_and_add(&from->fixed, -(__u64)bytes);
		__sync_fetch_and_add(&q->fixed, (__u64)bytes);
		return to;
	}
	struct flow_slot *f = &fl->slots[slot & (FLOW_COUNT - 1)];
	if (!lock_slot(f))
		return to; /* another processor decides on it */
	if (f->member != to) {
		f->member = to;
		f->since = now;
	}
	f->why = WHY_SHORTEST;
	f->to = 0;
	f->until = until;
	f->reading = reading;
	__sync_lock_test_and_set(&f->lock, 0);
	return to;
}

/* The frame that meets a dead member first has the control loop look at it. */
static __always_inline void report_loss(struct control *c, __u32 id)
{
	__u64 now = bpf_ktime_get_ns(), *last = &c->loss_reported[id & (MAX_MEMBERS - 1)];
	__u32 member = id;

	if (*last != 0 && within(now, *last, LOSS_INTERVAL))
		return;
	*last = now;
	bpf_ringbuf_output(&reports, &member, sizeof(member), 0);
}

/* spread.Picker.StandIn: the member by which a frame leaves that was for a dead one, NO_MEMBER for none. */
__noinline __u32 stand_in(const struct plan *pl, __u32 id, __u32 slot, __u32 bytes)
{
	struct control *c = get_control();
	struct tx_state *l = get_tx_state();

	if (!pl || id >= MAX_MEMBERS)
		return NO_MEMBER;
	report_loss(c, id);
	if (pl->rule == RULE_SINGLE)
		return successor(pl);
	__u64 dead = dead_of(pl, pl->distributing), alive = pl->distributing & ~dead;
	__u32 left = 0;
	for (__u32 i = 0; i < MAX_MEMBERS; i++)
		left += alive >> i & 1;
	if (left == 0 || left < pl->least)
		return NO_MEMBER;
	switch (pl->rule) {
	case RULE_SLOTS: {
		slot &= SLOT_COUNT - 1;
		__u32 to = pl->slots[slot];
		if (in_set(alive, to))
			return to;
		to = pl->stand_ins[slot];
		return in_set(alive, to) ? to : first_in_rank(alive, slot);
	}
	case RULE_ROUND_ROBIN: {
		__u32 to = lowest_of(pl, &l->round_robin, alive);
		if (to < MAX_MEMBERS)
			__sync_fetch_and_add(&l->round_robin.clock[to & 63], (bytes ?: 1) * pl->byte_cost[to & 63]);
		return to;
	}
	case RULE_SHORTEST:
		return flow_stand_in(pl, &l->flows, alive, id, slot, bytes);
	}
	return NO_MEMBER;
}
