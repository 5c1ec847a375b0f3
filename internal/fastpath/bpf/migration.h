/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Slots that migrate from one member to another: the rule of modes/spread/migration.go. */
#pragma once

#include "layout.h"

#define MARK_BITS 32

/* The member by which a frame of a slot leaves. */
__noinline __u32 migrating_member(const struct plan *pl, struct migration_state *m, __u32 slot, __s64 now)
{
	if (!pl || !m)
		return NO_MEMBER;
	slot &= SLOT_COUNT - 1;
	__u32 from = pl->from[slot], to = pl->slots[slot];
	if (from == to)
		return to;
	/* The Picker that shares the table starts the migration, perhaps a moment later. */
	if (*(volatile __u64 *)&m->id != pl->migration)
		return in_set(pl->distributing, from) ? from : to;
	struct slot_state *s = &m->slots[slot];
	__u64 generation = (__u64)m->generation << MARK_BITS, was = *(volatile __u64 *)&s->state;
	__s64 last = m->since;
	__u32 mark = 0;
	if (was >> MARK_BITS == generation >> MARK_BITS) {
		last = s->last;
		mark = was;
		if (mark == 0)
			return to;
	}
	if (!in_set(pl->distributing, from) || mark < pl->cleared[from & (MAX_MEMBERS - 1)] || now - last >= pl->skew) {
		*(volatile __u64 *)&s->state = generation;
		return to;
	}
	s->last = now;
	__u64 next = generation | pl->mark;
	if (next != was && __sync_val_compare_and_swap(&s->state, was, next) != was &&
	    *(volatile __u64 *)&s->state == generation)
		return to; /* another processor has migrated the slot */
	return from;
}
