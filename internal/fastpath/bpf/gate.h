/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who moves the frames of a direction: the relay or these programs. internal/relay/gate.go and gate_ring.go describe
 * the protocol. */
#pragma once

#include "layout.h"

enum { GATE_SLOW, GATE_HOLD, GATE_FAST, GATE_SHUT, GATE_RING, GATE_ALONE };

/* GATE_SHUT until a time, in units of CLOCK_MONOTONIC. No gate is shut for longer than GATE_LONGEST: a value that says
 * so is old. */
#define GATE_UNTIL (1u << 31)
#define GATE_UNIT 14 /* a power of two of ns */
#define GATE_LONGEST (1u << 14)

static __always_inline int still_shut(__u32 gate)
{
	__u32 left = gate - (__u32)(bpf_ktime_get_ns() >> GATE_UNIT);

	return (left & (GATE_UNTIL - 1)) - 1 < GATE_LONGEST;
}

/* The gate for this frame. The relay has no frame left while it is GATE_HOLD, and had none when it shut it. */
static __always_inline __u32 read_gate(__u32 *gate)
{
	__u32 g = *(volatile __u32 *)gate;

	if (g <= GATE_ALONE && g != GATE_HOLD)
		return g;
	if (g != GATE_HOLD && still_shut(g))
		return GATE_SHUT;
	__u32 was = __sync_val_compare_and_swap(gate, g, GATE_SLOW);
	if (was == g)
		return GATE_SLOW;
	return was & GATE_UNTIL ? GATE_SHUT : was;
}
