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
#define ELSEWHERE_AFTER 400000000ULL
#define TELL_EVERY 1000000000ULL

/* Whether now is less than span behind at. Another processor may have written at after now was read. */
static __always_inline int within(__u64 now, __u64 at, __u64 span) { return (__s64)(now - at) < (__s64)span; }

/* The adapter has sent from a station that the plan does not have. */
static __always_inline void note_guest(struct control *c, __u64 station, __u64 now)
{
	bpf_map_update_elem(&guests, &station, &now, BPF_ANY);
	c->guests_until = now + GUEST_TIME;
}

/* A frame has come in from a station of the plan: it has moved, unless the frame is its own come back. */
static __always_inline void tell_elsewhere(struct station *s, __u64 station)
{
	__u64 now = bpf_ktime_get_ns();

	if (within(now, s->sent, ELSEWHERE_AFTER) || within(now, s->told, TELL_EVERY))
		return;
	s->told = now;
	bpf_ringbuf_output(&elsewhere, &station, sizeof(station), 0);
}

/* Whether the adapter has sent from a station lately; known is what is noted of it where the plan has it. */
static __always_inline int guest_lately(struct control *c, const struct station *known, __u64 station)
{
	__u64 until = c->guests_until;

	if (known && known->sent != 0 && within(bpf_ktime_get_ns(), known->sent, GUEST_TIME))
		return 1;
	if (until == 0)
		return 0;
	__u64 now = bpf_ktime_get_ns();
	if (now >= until)
		return 0;
	__u64 *noted = bpf_map_lookup_elem(&guests, &station);
	return noted && within(now, *noted, GUEST_TIME);
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
	__u64 station = station_of(h, h->src), dst_station = station_of(h, h->dst);
	struct station *known = from == BEHIND ? bpf_map_lookup_elem(&stations, &station) : 0;
	if (known)
		tell_elsewhere(known, station);
	if (from == OWN || guest_lately(c, known, station))
		return refuse(t, DROP_REFLECTED, frames);

	id = seen(id) & (MAX_MEMBERS - 1);
	__u64 own = pl->mac[id], dst = h->dst;
	int collecting = has(pl->collecting, id), several = has(pl->multicast, id);
	if (multicast(dst))
		return collecting && several ? FOR_OTHERS : refuse(t, DROP_STANDBY, frames);

	if (collecting && ((dst == own && has(pl->plainly, id)) || (dst == pl->adapter && has(pl->for_all, id))) &&
	    !(pl->per_member && guest_lately(c, 0, dst_station)))
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
	} else if (pl->per_member && guest_lately(c, 0, dst_station)) {
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
