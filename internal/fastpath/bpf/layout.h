/* What the programs share with Go: sizes and offsets are those of modes/ledger.go, modes/flows.go and memory.go. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_MEMBERS 64
#define NO_MEMBER 0xff
#define SLOT_COUNT 1024
#define FLOW_COUNT 16384
#define HEARD_COUNT 4096
#define PROTOCOLS 7
#define DROPS 9
#define KNOWN_WORDS 16
#define KNOWN_FACTOR 0x9e3779b97f4a7c15ULL

/* modes.Ledger */
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

struct flowing {
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

struct flows {
	__s64 now;
	__s64 force_by;
	struct queue members[MAX_MEMBERS];
	struct flowing slots[FLOW_COUNT];
	__u64 forced;
};

struct turns {
	__u64 clock[MAX_MEMBERS];
	__u64 state;
	__u32 turn;
	__s32 left;
};

struct slot_moving {
	__s64 last;
	__u64 state;
};

struct moving {
	__u64 turn;
	__s64 since;
	__u32 turns;
	struct slot_moving slots[SLOT_COUNT];
};

struct ledger {
	struct turns turns;
	struct flows flows;
	struct moving moving;
};

/* plan of memory.go: a modes.Plan as the programs look things up in it. */
struct plan {
	__u64 adapter;
	__u64 salt;
	__u64 distributing;
	__u64 collecting;
	__u64 multicast;
	__u64 plainly;    /* members that take in what is for their own address, and it is nobody's behind the adapter */
	__u64 for_all;    /* the same of the adapter's address */
	__u64 known[KNOWN_WORDS]; /* has a bit for each address that the plan speaks of, so few others need be looked up */
	__s64 gain;
	__s64 skew;
	__u64 total;
	__u64 turn;
	__u64 mac[MAX_MEMBERS];
	__u64 turn_cost[MAX_MEMBERS];
	__u32 weight[MAX_MEMBERS];
	__u32 ifindex[MAX_MEMBERS];
	__u32 packets_per_member;
	__u32 mark;
	__u32 cleared[MAX_MEMBERS];
	__u8 ids[MAX_MEMBERS]; /* that distribute */
	__u8 slots[SLOT_COUNT];
	__u8 from[SLOT_COUNT]; /* where moving is set */
	__u8 spread;
	__u8 hash;
	__u8 single; /* NO_MEMBER: none */
	__u8 n;      /* of ids */
	__u8 per_member;
	__u8 promiscuous;
	__u8 view; /* of addresses */
	__u8 moving; /* slots go from from to slots */
};

struct control {
	__u32 transmit_gate;
	__u32 active; /* which of the two plans is in force */
	__u64 guests_until;
	__u32 adapter; /* ifindex */
	__u32 receive_gate[MAX_MEMBERS];
};

struct count {
	__u64 bytes;
	__u64 frames;
};

struct tally {
	struct count rx[PROTOCOLS];
	struct count tx[PROTOCOLS];
	__u64 rx_drop[DROPS];
	__u64 tx_drop[DROPS];
	__u64 flooded;
	__u64 tx_octets; /* as given to the member: a super-frame is one frame, with one header */
};

/* A row is one processor's. The programs run with softirqs off, so none interrupts another on the same row. */
struct row {
	__u32 transmitting; /* odd while a program is at work */
	__u32 receiving;
	__u32 decided; /* by listen, for the frame that receive sees next */
	__u32 member;  /* whose frame that is */
	__u32 ifindex; /* that member's */
	__u32 unused;
	struct tally members[MAX_MEMBERS];
	__u64 no_member[DROPS];
};

/* What a plan says of an address: entry of addresses.go. */
struct view {
	__u64 takers; /* members that take in what is for it, besides that whose own it is */
	__u32 kind;
	__u32 unused;
};

struct address {
	struct view views[2];
};

/* What is noted of a station that the plan has. */
struct station {
	__u64 sent; /* when the adapter last sent from it */
	__u64 told; /* when it was last told that it is heard from elsewhere */
};

enum { OWN = 1, BEHIND = 2 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ledger);
} ledgers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

/* As many entries as there may be processors. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, HEARD_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} heard SEC(".maps");

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

/* Stations of the plan that are heard from elsewhere, for Go. It has a page, of which Go knows the size. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} elsewhere SEC(".maps");

/* When the adapter last sent from a station that the plan does not have. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} guests SEC(".maps");

static __always_inline struct ledger *the_ledger(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&ledgers, &zero);
}

static __always_inline struct control *the_control(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&controls, &zero);
}

static __always_inline struct row *the_row(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	return bpf_map_lookup_elem(&rows, &cpu);
}

static __always_inline struct plan *the_plan(struct control *c)
{
	__u32 active = *(volatile __u32 *)&c->active;
	return bpf_map_lookup_elem(&plans, &active);
}

/* Makes the compiler forget what it knows of x, so that a bound it thinks superfluous is there for the verifier. */
static __always_inline __u64 seen(__u64 x)
{
	asm volatile("" : "+r"(x));
	return x;
}

static __always_inline int has(__u64 set, __u32 id)
{
	return id < MAX_MEMBERS && (set >> id & 1);
}

static __always_inline struct address *address_of(struct plan *pl, __u64 mac)
{
	__u32 bit = mac * KNOWN_FACTOR >> 54;
	if (!(pl->known[bit / 64 % KNOWN_WORDS] >> bit % 64 & 1))
		return 0;
	return bpf_map_lookup_elem(&addresses, &mac);
}

static __always_inline const struct view *view_of(const struct plan *pl, const struct address *a)
{
	return &a->views[pl->view & 1];
}
