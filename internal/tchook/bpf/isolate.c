/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Isolates a member from the host's stack: tc ingress of a member, behind the data path's socket and program. */
#include "isolate.h"

SEC("tc")
int isolate(struct __sk_buff *skb) { return isolate_frame(skb); }

char _license[] SEC("license") = "Dual MIT/GPL";
