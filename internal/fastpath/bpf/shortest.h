/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* spread.RuleShortest: the rule in modes/spread/flowtable.go, as modes/spread/shortest.go implements it. */
#pragma once

#include "hash.h"

#define COST_BITS 16
#define FARTHEST 3600000000000LL
#define FLOW_IDLE 1000000000LL
#define FRESH_FOR 1000000LL
#define LOCK_TRIES 64

enum { WHY_SHORTEST, WHY_RANK, WHY_FORCED, WHY_ONLY };

static __always_inline __s64 ns(__u64 bytes, __u64 cost) { return bytes * cost >> COST_BITS; }

/* All ones if a is before b, else 0. The verifier follows every branch of a loop over the members: without branches
 * there is one path. Times are far below half of the range. */
static __always_inline __s64 earlier(__s64 a, __s64 b)
{
	__s64 d = a - b;
	asm volatile("%0 s>>= 63" : "+r"(d)); /* else the compiler makes a branch of it */
	return d;
}

static __always_inline __s64 select(__s64 mask, __s64 yes, __s64 no) { return (yes & mask) | (no & ~mask); }

static __always_inline __s64 max_time(__s64 a, __s64 b) { return select(earlier(a, b), b, a); }

static __always_inline __s64 min_time(__s64 a, __s64 b) { return select(earlier(a, b), a, b); }

static __always_inline __s64 finish_time(const struct queue *q, __u64 bytes, __s64 now)
{
	return max_time(q->clock, now) + ns(bytes, q->cost);
}

static __always_inline __s64 drained_at(const struct queue *q, const struct flow_slot *f)
{
	if (f->reading == q->reading)
		return min_time(f->until, q->clock);
	return min_time(f->until + q->late_by, q->all);
}

static __always_inline __u64 flow_rank(__u32 slot, __u32 id)
{
	return finish(mix(HASH_START, (__u64)slot << 8 | id));
}

/* Rule 2. */
static __always_inline int stays(const struct plan *pl, const struct flow_table *fl, __u32 had, __s64 until, __s64 now)
{
	if (now >= until + FLOW_IDLE || !in_set(pl->targets, had))
		return 0;
	__s64 clock = fl->members[had & 63].clock, earliest = clock;
	if (clock < now + pl->gain)
		return 1;
	for (__u32 i = 0; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		earliest = min_time(earliest, fl->members[pl->ids[i] & 63].clock);
	}
	return clock - max_time(earliest, now) < pl->gain;
}

/* spread.shortest.shut: the targets that a slot goes to only if there is no other. */
__noinline __u64 shut_for(const struct plan *pl, __u32 slot)
{
	__u64 set = 0;

	if (!pl || !pl->returning)
		return 0;
	for (__u32 i = 0; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u64 id = pl->ids[i] & 63;
		set |= (__u64)earlier(flow_rank(slot, id) & 0xff, pl->closed[id]) & 1ULL << id;
	}
	return set;
}

/* Makes the queue of a member in the set longer than any other. */
static __always_inline __s64 shut_delay(__u64 shut, __u64 id) { return (__s64)(shut >> (id & 63) & 1) * FARTHEST; }

/* The member by which a frame leaves first. The verifier checks it and choose_member by themselves, once each: it
 * follows every length of a loop through those after it. */
__noinline __u32 earliest_member(const struct plan *pl, const struct flow_table *fl, __u64 shut, __u64 bytes, __s64 now)
{
	if (!pl || !fl)
		return 0;
	__u64 best = pl->ids[0] & 63;
	__s64 least = finish_time(&fl->members[best], bytes, now) + shut_delay(shut, best);

	for (__u32 i = 1; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u64 id = pl->ids[i] & 63;
		__s64 t = finish_time(&fl->members[id], bytes, now) + shut_delay(shut, id), first = earlier(t, least);
		least = select(first, t, least);
		best = select(first, id, best);
	}
	return best & 63;
}

#define REASON_SHIFT 8

/* Rule 3. Returns the member, and why in the octet above. */
__noinline __u32 choose_member(const struct plan *pl, const struct flow_table *fl, __u32 slot, __u64 bytes, __s64 now)
{
	if (!pl || !fl)
		return 0;
	if (pl->n == 1)
		return (pl->ids[0] & 63) | WHY_ONLY << REASON_SHIFT;
	__u64 shut = shut_for(pl, slot), most = 0;
	__u64 best = earliest_member(pl, fl, shut, bytes, now) & 63;
	const struct queue *q = &fl->members[best];
	__s64 near = finish_time(q, bytes, now) + shut_delay(shut, best) + min_time(pl->gain, ns(bytes, q->cost) / 8);
	__s64 one = 0, tied = 0;

	for (__u32 i = 0; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u64 id = pl->ids[i] & 63;
		__s64 same = ~earlier(near, finish_time(&fl->members[id], bytes, now) + shut_delay(shut, id));
		__u64 r = flow_rank(slot, id);
		/* r > most, unsigned, by halves. */
		__s64 high = earlier(most >> 32, r >> 32), equal = ~high & ~earlier(r >> 32, most >> 32);
		__s64 more = high | (equal & earlier(most & 0xffffffff, r & 0xffffffff));
		__s64 takes = same & (~one | more);
		tied |= same & one;
		one |= same;
		best = select(takes, id, best);
		most = select(takes, r, most);
	}
	return (best & 63) | (tied ? WHY_RANK : WHY_SHORTEST) << REASON_SHIFT;
}

/* Rule 4. Returns the clock. Several processors may charge one member at once. */
static __always_inline __s64 charge(struct queue *q, __u64 bytes, __s64 now)
{
	__s64 clock = 0;

	for (int i = 0; i < 8; i++) {
		__s64 old = *(volatile __s64 *)&q->clock;
		clock = min_time(max_time(old, now) + ns(bytes, q->cost), now + FARTHEST) + 1;
		if (__sync_val_compare_and_swap(&q->clock, old, clock) == old)
			break;
	}
	__sync_fetch_and_add(&q->given, bytes);
	__s64 since = now - q->at;
	if (since >= FRESH_FOR) {
		q->before = since < 2 * FRESH_FOR ? q->recent : 0;
		q->at = now;
		q->recent = 0;
	}
	q->recent += bytes;
	return clock;
}

/* spread.GroupReport */
static __always_inline int group_report(const struct headers *h)
{
	if (h->l4 == 0 || !multicast(h->dst))
		return 0;
	if (h->ethertype == TYPE_IPV4 && h->ip_proto == PROTO_IGMP)
		return h->type == 0x12 || h->type == 0x16 || h->type == 0x22 || h->type == 0x17;
	if (h->ethertype == TYPE_IPV6 && h->ip_proto == PROTO_ICMPV6)
		return h->type == 131 || h->type == 132 || h->type == 143;
	return 0;
}

/* spread.Plan.Pin, NO_MEMBER if no member distributes. */
static __always_inline __u32 pin(const struct plan *pl, __u64 mac)
{
	return pl->slots[finish(mix(pl->start, mac)) % SLOT_COUNT];
}

/* The member of a frame that belongs to no flow; MAX_MEMBERS: it belongs to one. */
static __always_inline __u32 fixed_member(const struct plan *pl, const struct headers *h, int behind)
{
	if (multicast(h->dst) && ((h->src == pl->adapter && h->ip_proto != PROTO_UDP) || group_report(h)))
		return pl->single;
	if (h->src == pl->adapter)
		return MAX_MEMBERS;
	return behind ? pin(pl, h->src) : pl->single;
}

/* The holder of a slot's lock decides on it, and holds it no longer than that takes. */
static __always_inline int lock_slot(struct flow_slot *f)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (__sync_val_compare_and_swap(&f->lock, 0, 1) == 0)
			return 1;
	}
	return 0;
}

__noinline __u32 pick_flow_member(const struct plan *pl, struct flow_table *fl, __u32 slot, __u64 bytes, __s64 now)
{
	if (!pl || !fl || pl->n == 0)
		return NO_MEMBER;
	struct flow_slot *f = &fl->slots[slot & (FLOW_COUNT - 1)];
	__u32 had = f->member & 63, id = had;
	__u8 why = f->why;
	int paused = 0, stay = 0, locked = lock_slot(f);

	if (!locked) {
		/* Another processor is held up while it decides: keep the member. */
		if (!in_set(pl->distributing, id))
			id = pl->ids[0] & 63;
		charge(&fl->members[id & 63], bytes, now);
		__sync_fetch_and_add(&f->bytes, bytes);
		return id;
	}
	had = f->member & 63;
	id = had;
	why = f->why;
	if (f->until != 0 && in_set(pl->distributing, had)) {
		const struct queue *q = &fl->members[had];
		__s64 until = drained_at(q, f);
		__u32 to = (__u32)f->to - 1;
		paused = now >= until + pl->skew; /* rule 1 */
		if (f->to != 0 && in_set(pl->targets, to)) {
			stay = 1;
			if (!paused && now < fl->force_by) {
				paused = 0;
			} else {
				id = to & 63;
				why = WHY_FORCED;
			}
		} else {
			stay = !paused || stays(pl, fl, had, until, now);
		}
	}
	if (!stay) {
		__u32 chosen = choose_member(pl, fl, slot, bytes, now);
		id = chosen & 63;
		why = chosen >> REASON_SHIFT;
	}
	int moves = f->until == 0 || f->member != id;
	if (paused)
		f->pauses++;
	if (moves) {
		f->member = id;
		f->since = now;
		if (why == WHY_FORCED)
			__sync_fetch_and_add(&fl->forced, 1);
	}
	if (moves || paused)
		f->to = 0;
	f->why = why;
	struct queue *q = &fl->members[id & 63];
	__u8 reading = *(volatile __u8 *)&q->reading;
	f->until = charge(q, bytes, now);
	f->reading = reading;
	__sync_fetch_and_add(&f->bytes, bytes); /* others may transmit without the lock */
	__sync_lock_test_and_set(&f->lock, 0);
	return id;
}
