/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which received frames are accepted: relay.ActivePlan.Accept, and recentLocal of relay/stations.go. */
#pragma once

#include "standin.h"
#include "vrrp.h"

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

#define RECENT_TIME 1000000000ULL
#define MOVED_AFTER 400000000ULL
#define REPORT_INTERVAL 1000000000ULL

/* Records that the adapter sent from a station that the plan does not have. */
static __always_inline void note_recent(struct control *c, __u64 station, __u64 now)
{
	bpf_map_update_elem(&recent_local, &station, &now, BPF_ANY);
	c->recent_until = now + RECENT_TIME;
}

/* A frame was received from a station of the plan. Unless it is reflected, the station has moved. */
static __always_inline void report_moved(struct station *s, __u64 station)
{
	__u64 now = bpf_ktime_get_ns();

	if (within(now, s->sent, MOVED_AFTER) || within(now, s->reported, REPORT_INTERVAL))
		return;
	s->reported = now;
	bpf_ringbuf_output(&reports, &station, sizeof(station), 0);
}

/* Whether the adapter sent within RECENT_TIME from any station that the plan does not have. */
static __always_inline int any_recent(struct control *c)
{
	__u64 until = *(volatile __u64 *)&c->recent_until;

	if (until == 0)
		return 0;
	if (bpf_ktime_get_ns() < until)
		return 1;
	/* The next frame need not read the clock. A station that another processor notes just now stays. */
	__sync_val_compare_and_swap(&c->recent_until, until, 0);
	return 0;
}

/* Whether the adapter sent from a station within RECENT_TIME; known is its entry if the plan has it. */
static __always_inline int sent_recently(struct control *c, const struct station *known, __u64 station)
{
	if (known && known->sent != 0 && within(bpf_ktime_get_ns(), known->sent, RECENT_TIME))
		return 1;
	if (!any_recent(c))
		return 0;
	__u64 *noted = bpf_map_lookup_elem(&recent_local, &station);
	return noted && within(bpf_ktime_get_ns(), *noted, RECENT_TIME);
}

static __always_inline __u32 reject(struct member_counters *t, __u32 drop, __u32 frames)
{
	drop = barrier_value(drop);
	if (drop < DROPS)
		t->rx_drop[drop] += frames;
	return FOR_NOBODY;
}

__noinline __u32 accept_frame(struct control *c, struct plan *pl, struct member_counters *t, __u32 id,
			      const struct headers *h)
{
	if (!c || !pl || !t || !h || id >= MAX_MEMBERS)
		return FOR_NOBODY;
	__u32 frames = h->frames;
	struct address *src = address_of(pl, h->src);
	__u32 from = src ? view_of(pl, src)->kind : 0;
	__u64 station = station_of(h, h->src), dst_station = station_of(h, h->dst);
	struct station *known = from == BEHIND ? bpf_map_lookup_elem(&stations, &station) : 0;
	if (known)
		report_moved(known, station);
	if (from == OWN || (h->advert ? sent_recently(c, 0, h->advert) : sent_recently(c, known, station)))
		return reject(t, DROP_REFLECTED, frames);

	id = barrier_value(id) & (MAX_MEMBERS - 1);
	__u64 dst = h->dst;
	int collecting = in_set(pl->collecting, id), groups = in_set(pl->multicast, id);
	if (!(collecting && groups) && (multicast(dst) || !collecting) && stands_in(pl, id))
		collecting = groups = 1;
	if (multicast(dst))
		return collecting && groups ? FOR_OTHERS : reject(t, DROP_STANDBY, frames);

	__u64 own = pl->mac[id];
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
	} else if (pl->per_member && sent_recently(c, 0, dst_station)) {
		if (groups)
			return FOR_OTHERS;
	} else if (dst == own || (v && in_set(v->acceptors, id))) {
		return FOR_US;
	} else if (!ours && pl->promiscuous && (!pl->per_member || groups)) {
		return FOR_OTHERS;
	}
	if (astray)
		t->flooded += frames;
	return reject(t, drop, frames);
}

/* Whether the rules of accept_frame come to FOR_US without a look-up, as for most frames, unless any_recent. */
static __always_inline int plainly_ours(const struct plan *pl, __u32 id, __u64 dst, __u64 src)
{
	id &= MAX_MEMBERS - 1;
	return (dst == pl->takes_adapter[id] || dst == pl->takes_own[id]) && !perhaps_known(pl, src);
}

static __always_inline __u32 accept(struct __sk_buff *skb, struct plan *pl, struct member_counters *t, __u32 id,
				    const __u8 *b, struct headers *h)
{
	if (plainly_ours(pl, id, h->dst, h->src) && !any_recent(get_control()))
		return FOR_US;
	find_tag(skb, b, h);
	struct headers copy = *h;
	copy.advert = b ? 0 : advert_station(skb, h);
	return accept_frame(get_control(), pl, t, id, &copy);
}
