/* Which received frames are taken in: relay.Rule.Accept, and the relay's guard against own frames come back. */
#pragma once

#include "shortest.h"

enum {
	DROP_NO_MEMBER,
	DROP_BACKLOG,
	DROP_REFUSED,
	DROP_MALFORMED,
	DROP_NOT_OURS,
	DROP_STANDBY,
	DROP_REFLECTED,
	DROP_ADAPTER,
	DROP_SOCKET,
};

enum { FOR_NOBODY, FOR_US, FOR_OTHERS };

#define GUEST_TIME 1000000000ULL

/* The adapter has sent from a MAC that the plan does not have. */
static __always_inline void note_guest(struct control *c, __u64 mac, __u64 now)
{
	bpf_map_update_elem(&guests, &mac, &now, BPF_ANY);
	c->guests_until = now + GUEST_TIME;
}

/* Whether the adapter has sent from mac lately; behind is what the plan has of it, where it lives behind the adapter. */
static __always_inline int guest_lately(struct control *c, const struct address *behind, __u64 mac)
{
	__u64 until = c->guests_until;

	if (behind && behind->sent != 0 && bpf_ktime_get_ns() - behind->sent < GUEST_TIME)
		return 1;
	if (until == 0)
		return 0;
	__u64 now = bpf_ktime_get_ns();
	if (now >= until)
		return 0;
	__u64 *noted = bpf_map_lookup_elem(&guests, &mac);
	return noted && now - *noted < GUEST_TIME;
}

static __always_inline __u32 refuse(struct tally *t, __u32 drop, __u32 frames)
{
	drop = seen(drop);
	if (drop < DROPS)
		t->rx_drop[drop] += frames;
	return FOR_NOBODY;
}

__noinline __u32 accept_frame(struct control *c, struct plan *pl, struct tally *t, __u32 id, const struct headers *h)
{
	if (!c || !pl || !t || !h || id >= MAX_MEMBERS)
		return FOR_NOBODY;
	__u32 frames = h->frames;
	struct address *src = address_of(pl, h->src);
	__u32 from = src ? view_of(pl, src)->kind : 0;
	if (from == OWN || guest_lately(c, from == BEHIND ? src : 0, h->src))
		return refuse(t, DROP_REFLECTED, frames);

	id = seen(id) & (MAX_MEMBERS - 1);
	__u64 own = pl->mac[id], dst = h->dst;
	int collecting = has(pl->collecting, id), several = has(pl->multicast, id);
	if (multicast(dst))
		return collecting && several ? FOR_OTHERS : refuse(t, DROP_STANDBY, frames);

	if (collecting && ((dst == own && has(pl->plainly, id)) || (dst == pl->adapter && has(pl->for_all, id))) &&
	    !(pl->per_member && guest_lately(c, 0, dst)))
		return FOR_US;
	struct address *a = address_of(pl, dst);
	const struct view *v = a ? view_of(pl, a) : 0;
	int behind = v && v->kind == BEHIND, ours = v && v->kind == OWN;
	int astray = pl->per_member ? dst != own && ours : dst == pl->adapter && !collecting;
	__u32 drop = DROP_NOT_OURS;
	if (!collecting) {
		drop = DROP_STANDBY;
	} else if (behind) {
		if (!pl->per_member || pin(pl, dst) == id)
			return FOR_OTHERS;
	} else if (pl->per_member && guest_lately(c, 0, dst)) {
		if (several)
			return FOR_OTHERS;
	} else if (dst == own || (v && has(v->takers, id))) {
		return FOR_US;
	} else if (!ours && pl->promiscuous && (!pl->per_member || several)) {
		return FOR_OTHERS;
	}
	if (astray)
		t->flooded += frames;
	return refuse(t, drop, frames);
}
