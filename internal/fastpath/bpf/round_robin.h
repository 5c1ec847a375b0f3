/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Round-robin: spread.Picker.next. */
#pragma once

#include "hash.h"

/* Clocks wrap: compare their difference. */
static __always_inline __u32 lowest_clock(const struct plan *pl, const struct round_robin *t)
{
	__u32 best = pl->ids[0] & 63;
	__u64 least = t->clock[best];

	for (__u32 i = 1; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u32 id = pl->ids[i] & 63;
		__u64 c = t->clock[id];
		if ((__s64)(c - least) < 0) {
			least = c;
			best = id;
		}
	}
	return best;
}

static __always_inline __u32 random_member(const struct plan *pl, struct round_robin *t)
{
	__u64 state = __sync_fetch_and_add(&t->state, HASH_WORD) + HASH_WORD;
	__u64 r = (finish(state) >> 32) * pl->total >> 32;

	for (__u32 i = 0; i < MAX_MEMBERS; i++) {
		if (i >= pl->n)
			break;
		__u32 id = pl->ids[i] & 63;
		__u64 share = pl->weight[id];
		if (r < share)
			return id;
		r -= share;
	}
	return pl->ids[0] & 63;
}

__noinline __u32 next_round_robin(const struct plan *pl, struct round_robin *t, __u32 bytes)
{
	if (!pl || !t)
		return NO_MEMBER;
	if (pl->packets_per_member == 0)
		return random_member(pl, t);
	/* A processor that still followed the plan before may have stored a member that has left. */
	__u32 id = *(volatile __u32 *)&t->member & 63;
	if (t->left <= 0 || pl->byte_cost[id] == 0) {
		id = lowest_clock(pl, t) & 63;
		t->member = id;
		t->left = pl->packets_per_member;
	}
	__sync_fetch_and_add(&t->left, -1);
	if (bytes == 0)
		bytes = 1;
	__sync_fetch_and_add(&t->clock[id], bytes * pl->byte_cost[id]);
	return id;
}
