/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Memory that the programs share with Go, with the sizes and offsets of spread.TxState and of this package's kernel. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_MEMBERS 64
#define NO_MAC 0xffffffffffffffffULL
#define NO_MEMBER 0xff
#define SLOT_COUNT 1024
#define FLOW_COUNT 16384
#define RX_CLASS_COUNT 4096
#define PROTOCOLS 7
#define DROPS 9
#define RING_HEADER 8
#define RING_FRAME 16384
#define KNOWN_WORDS 16
#define KNOWN_FACTOR 0x9e3779b97f4a7c15ULL
#define SUCCESSORS 4
#define JOINED 256

#define ACT_NEXT -1
#define ACT_DROP 2

enum { RULE_NONE, RULE_SINGLE, RULE_SLOTS, RULE_ROUND_ROBIN, RULE_BROADCAST, RULE_SHORTEST };

/* spread.TxState */
struct queue {
	__s64 clock;
	__u64 rate;
	__u8 source;
	__u64 capacity;
	__u64 fixed;
	__u64 cost;
	__u64 given;
	__s64 at;
	__s64 recent;
	__s64 before;
	__u8 reading;
	__s64 late_by;
	__s64 all;
};

struct flow_slot {
	__s64 until;
	__s64 since;
	__u64 bytes;
	__u32 pauses;
	__u8 member;
	__u8 why;
	__u8 to;
	__u8 reading;
	__u32 lock;
};

struct flow_table {
	__s64 now;
	__s64 force_by;
	struct queue members[MAX_MEMBERS];
	struct flow_slot slots[FLOW_COUNT];
	__u64 forced;
};

struct round_robin {
	__u64 clock[MAX_MEMBERS];
	__u64 state;
	__u32 member;
	__s32 left;
};

struct slot_state {
	__s64 last;
	__u64 state;
};

struct migration_state {
	__u64 id;
	__s64 since;
	__u32 generation;
	struct slot_state slots[SLOT_COUNT];
};

struct tx_state {
	struct round_robin round_robin;
	struct flow_table flows;
	struct migration_state migration;
};

/* A spread.Plan in the form in which the programs look it up: planOf of plan.go. */
struct plan {
	__u64 adapter;
	__u64 start; /* of the hash: spread.Hash.Start */
	__u64 distributing;
	__u64 targets;   /* that flows may go to: spread.Plan.FlowTargets */
	__u64 returning; /* of targets: spread.Plan.Returning */
	__u64 collecting;
	__u64 multicast;
	__u64 known[KNOWN_WORDS]; /* a Bloom filter of the addresses that the plan has: few others are looked up */
	__s64 gain;
	__s64 skew;
	__u64 total;
	__u64 migration; /* its id */
	__u64 mac[MAX_MEMBERS];
	__u64 takes_own[MAX_MEMBERS]; /* mac of a member that collects and accepts it, if no station has it; else NO_MAC */
	__u64 takes_adapter[MAX_MEMBERS]; /* the adapter's address, likewise */
	__u64 device[MAX_MEMBERS]; /* the address of the NIC; 0: not known, or a lost link is to be waited for */
	__u64 byte_cost[MAX_MEMBERS];
	__u32 weight[MAX_MEMBERS];
	__u32 ifindex[MAX_MEMBERS];
	__u32 leaves[MAX_MEMBERS]; /* ifindex of those that distribute, else 0 */
	__u32 packets_per_member;
	__u32 mark;
	__u32 cleared[MAX_MEMBERS];
	__u8 ids[MAX_MEMBERS]; /* that distribute; if flows go to the shortest queue, those of targets */
	__u8 closed[MAX_MEMBERS]; /* spread.Shortest.Closed */
	__u8 slots[SLOT_COUNT];
	__u8 from[SLOT_COUNT]; /* if migrating */
	__u8 stand_ins[SLOT_COUNT]; /* whose a slot is without its member; NO_MEMBER: not known */
	__u8 successors[SUCCESSORS]; /* that would be active one after the other, then NO_MEMBER */
	__u8 rule;
	__u8 hash;
	__u8 single; /* NO_MEMBER: none */
	__u8 n;      /* of ids */
	__u8 per_member;
	__u8 promiscuous;
	__u8 view; /* of addresses */
	__u8 migrating; /* slots migrate from from to slots */
	__u8 least; /* so many members must be left */
	__u8 plain; /* the rule is one of plain.h */
	__u8 unused[2];
};

struct plans {
	struct plan each[2];
};

struct hello {
	__u64 at;
	__u64 sent; /* by the sender's clock */
	__u32 seq;
	__u32 unused;
};

struct control {
	__u32 transmit_gate;
	__u32 active; /* which of the two plans is in force */
	__u64 recent_until;
	__u32 adapter; /* ifindex */
	__u32 receive_gate[MAX_MEMBERS];
	__u32 unused;
	__u64 device; /* that find_device has found */
	__u64 dead; /* that find_dead has found */
	__u64 loss_reported[MAX_MEMBERS]; /* when a member was last reported as dead */
	__u64 joined[JOINED]; /* most of members: member_by_ifindex */
	__u64 hello_team; /* whose probes between members are noted here */
	__u8 hello_from[MAX_MEMBERS]; /* by member that receives them: whose, and one more; 0: nobody's */
	struct hello hellos[MAX_MEMBERS]; /* the last one */
};

struct count {
	__u64 bytes;
	__u64 frames;
};

struct member_counters {
	struct count rx[PROTOCOLS];
	struct count tx[PROTOCOLS];
	__u64 rx_drop[DROPS];
	__u64 tx_drop[DROPS];
	__u64 flooded;
	__u64 tx_skb_bytes; /* a super-frame is one frame, with one header */
	__u64 rx_unicast; /* frames of rx */
	__u64 tx_unicast;
};

/* A frame in a ring. No frame for the relay is longer: MTUs above 9 216 are those of virtual NICs. */
struct ring_frame {
	__u16 tpid; /* of the outer tag if the kernel stripped it; 0: it did not */
	__u16 tci;
	__u32 length;
	__u8 frame[RING_FRAME];
};

/* State of one processor. The programs run with softirqs off, so none interrupts another on one processor. */
struct cpu_state {
	__u32 transmitting; /* odd while a program runs: relay.WaitEpoch */
	__u32 receiving;
	__u32 decided; /* by relay_filter, for the frame that receive sees next */
	__u32 ifindex; /* by which that came */
	struct member_counters members[MAX_MEMBERS];
	__u64 no_member[DROPS];
	struct ring_frame passed; /* the last one */
};

/* A plan's entry of an address: entry of addresses.go. */
struct view {
	__u64 acceptors; /* members that accept it, besides the one whose own it is */
	__u32 kind;
	__u32 unused;
};

struct address {
	struct view views[2];
};

/* Of a station that the plan has. */
struct station {
	__u64 sent; /* when the adapter last sent from it */
	__u64 reported; /* when it was last reported as moved */
};

enum { OWN = 1, BEHIND = 2 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tx_state);
} tx_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct plans);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

/* One entry a possible processor. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_state);
} cpu_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RX_CLASS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} rx_bytes SEC(".maps");

/* By ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} members SEC(".maps");

/* By MAC. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct address);
} addresses SEC(".maps");

/* By station: those of the plan. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct station);
} stations SEC(".maps");

/* What Go is to look at: 8 octets are a station of the plan that may have moved, 4 a member that is dead. Go sets the
 * size to a page. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} reports SEC(".maps");

/* When the adapter last sent from a station that the plan does not have. By station. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} recent_local SEC(".maps");

/* Hides the value of x from the compiler, which would remove a bound that the verifier needs. */
static __always_inline __u64 barrier_value(__u64 x)
{
	asm volatile("" : "+r"(x));
	return x;
}

/* The same for a pointer; the compiler takes it for a new one, and keeps none for it to be compared with. */
static __always_inline void *barrier_pointer(void *p)
{
	asm volatile("" : "+r"(p));
	return p;
}

/* The only entry of a map. Go has the kernel put its address in, in place of the map's (direct.go): nothing is looked
 * up. That is one instruction wherever it is wanted, and so no register is spent on keeping it. */
#define ENTRY(map) barrier_pointer(&(map))

static __always_inline struct tx_state *get_tx_state(void) { return ENTRY(tx_states); }

static __always_inline struct control *get_control(void) { return ENTRY(controls); }

static __always_inline struct cpu_state *this_cpu(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	return bpf_map_lookup_elem(&cpu_states, &cpu);
}

static __always_inline struct plan *active_plan(struct control *c)
{
	struct plans *all = ENTRY(plans);

	return barrier_pointer(&all->each[*(volatile __u32 *)&c->active & 1]);
}

/* Both ends of a run of a program: odd in between (relay.WaitEpoch). By the kernel's rules for BPF an atomic operation
 * orders what is before and after it only if it returns the value. */
static __always_inline void count_end(__u32 *runs)
{
	__u32 n;

	asm volatile("%0 = 1" : "=r"(n)); /* else a register has it from one end to the other */
	n = __sync_fetch_and_add(runs, n);
	asm volatile("" : : "r"(n)); /* else the compiler takes the other kind */
}

/* The member that a NIC is, NO_MEMBER for none. Go keeps a copy of most entries of members in joined, which costs far
 * less than to look them up: the ifindex, and the id in the lowest octet. */
static __always_inline __u32 member_by_ifindex(struct control *c, __u32 ifindex)
{
	__u64 entry = *(volatile __u64 *)&c->joined[ifindex % JOINED];

	if (entry >> 8 == ifindex)
		return entry & 0xff;
	__u32 *found = bpf_map_lookup_elem(&members, &ifindex);
	return found ? *found : NO_MEMBER;
}

/* Whether now is less than span after at. Another processor may have written at after now was read. */
static __always_inline int within(__u64 now, __u64 at, __u64 span) { return (__s64)(now - at) < (__s64)span; }

static __always_inline int in_set(__u64 set, __u32 id)
{
	return id < MAX_MEMBERS && (set >> id & 1);
}

/* Whether the plan may have an address. */
static __always_inline int perhaps_known(const struct plan *pl, __u64 mac)
{
	__u32 bit = mac * KNOWN_FACTOR >> 54;
	return pl->known[bit / 64 % KNOWN_WORDS] >> bit % 64 & 1;
}

static __always_inline struct address *address_of(struct plan *pl, __u64 mac)
{
	return perhaps_known(pl, mac) ? bpf_map_lookup_elem(&addresses, &mac) : 0;
}

static __always_inline const struct view *view_of(const struct plan *pl, const struct address *a)
{
	return &a->views[pl->view & 1];
}
