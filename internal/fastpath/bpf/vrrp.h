/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* frame.AdvertStation: two hosts that both take themselves for the master of a virtual router send advertisements from
 * its MAC, and must hear each other. What each sends is a station of its own. */
#pragma once

#include "parse.h"

#define PROTO_VRRP 112
#define VIRTUAL_ROUTER4 0x00005e0001ULL
#define VIRTUAL_ROUTER6 0x00005e0002ULL
#define ADVERT_FACTOR 0x9e3779b97f4a7c15ULL

/* 0: the frame is no advertisement from a virtual router's MAC. */
static __always_inline __u64 advert_station(struct __sk_buff *skb, const struct headers *h)
{
	if (h->ip_proto != PROTO_VRRP || h->l3 == 0)
		return 0;
	if (h->src >> 8 != VIRTUAL_ROUTER4 && h->src >> 8 != VIRTUAL_ROUTER6)
		return 0;
	__u64 source = h->ethertype == TYPE_IPV4 ? load32(skb, 0, h->l3 + 12)
						 : load64(skb, 0, h->l3 + 8) * ADVERT_FACTOR ^ load64(skb, 0, h->l3 + 16);
	return station_of(h, h->src ^ source * ADVERT_FACTOR >> 16);
}
