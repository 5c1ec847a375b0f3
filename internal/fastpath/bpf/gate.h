/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who moves the frames of a direction: the relay or these programs. internal/relay/gate.go and gate_ring.go describe
 * the protocol. */
#pragma once

#include "layout.h"

enum { GATE_SLOW, GATE_HOLD, GATE_FAST, GATE_SHUT, GATE_RING, GATE_ALONE };

/* The gate for this frame. */
static __always_inline __u32 read_gate(__u32 *gate)
{
	__u32 g = *(volatile __u32 *)gate;

	if (g == GATE_HOLD) {
		g = __sync_val_compare_and_swap(gate, GATE_HOLD, GATE_SLOW);
		if (g == GATE_HOLD)
			g = GATE_SLOW;
	}
	return g;
}
