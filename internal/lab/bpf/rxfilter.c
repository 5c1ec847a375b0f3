/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The receive filter of a NIC: which frames of the wire its host receives. rxfilter.go says where the programs attach.
 *
 * A driver reads the filter from net_device in ndo_set_rx_mode: dev_addr, uc, mc, promiscuity and allmulti. These
 * programs read the same fields for each frame, so they never lag behind the kernel. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_ALEN 6
#define VLAN_VID 0xfff
#define MAX_DEVICES 1024
#define MAX_ADDRESSES 65536

/* The kernel's types, as far as they are read; its BTF has the offsets of the fields (CO-RE). */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct list_head {
	struct list_head *next;
};

struct netdev_hw_addr {
	struct list_head list;
	unsigned char addr[32];
};

struct netdev_hw_addr_list {
	struct list_head list;
	int count;
};

struct net_device {
	struct list_head dev_list;
	int ifindex;
	const unsigned char *dev_addr;
	struct netdev_hw_addr_list uc, mc;
	unsigned int promiscuity, allmulti;
	_Bool uc_promisc;
};

struct net {
	struct list_head dev_base_head;
};

struct nsproxy {
	struct net *net_ns;
};

struct task_struct {
	struct nsproxy *nsproxy;
};
#pragma clang attribute pop

/* Written by Go: rxRules. */
struct rules {
	__u64 device;	/* address of the net_device; 0: none, nothing passes */
	__u32 slots;	/* addresses that fit besides the device's own */
	__u8 overflows; /* addresses that do not fit make it promiscuous; else they are lost */
	__u8 one_mac;
	__u8 no_promisc;
	__u8 vlans; /* tagged frames pass only with a VID of vids */
	__u64 vids[4096 / 64];
};

volatile struct rules rules;

/* Argument and result of find. */
volatile __u32 wanted;
volatile __u64 found;

struct mac {
	__u8 octets[8]; /* six are used */
};

static __always_inline int same(const struct mac *a, const struct mac *b)
{
	return *(const __u64 *)a == *(const __u64 *)b;
}

struct walk {
	struct list_head *head, *at;
	struct mac mac;
	__u32 fits;
	__u32 holds;
};

/* One step along a list of addresses, for bpf_loop: 1 ends it. */
static long step(__u32 i, struct walk *w)
{
	struct list_head *at = w->at;
	struct netdev_hw_addr *a = (void *)at;
	struct mac mac = {};

	if (at == w->head || !at || i >= w->fits)
		return 1;
	bpf_probe_read_kernel(&mac, ETH_ALEN, &a->addr);
	if (same(&mac, &w->mac)) {
		w->holds = 1;
		return 1;
	}
	w->at = BPF_CORE_READ(at, next);
	return 0;
}

/* Whether mac is one of the first addresses of a list. */
static __always_inline int holds(struct netdev_hw_addr_list *l, const struct mac *mac, __u32 fits)
{
	struct walk w = { .head = &l->list, .at = BPF_CORE_READ(l, list.next), .mac = *mac, .fits = fits };

	if (w.at == w.head)
		return 0;
	bpf_loop(MAX_ADDRESSES, step, &w, 0);
	return w.holds;
}

/* The VID of a frame, 0 without a tag. */
static __always_inline __u32 vid_of(struct __sk_buff *skb)
{
	__be16 head[2] = {};

	if (skb->vlan_present)
		return skb->vlan_tci & VLAN_VID;
	if (bpf_skb_load_bytes(skb, 2 * ETH_ALEN, head, sizeof(head)) < 0)
		return 0;
	if (head[0] != bpf_htons(0x8100) && head[0] != bpf_htons(0x88a8))
		return 0;
	return bpf_ntohs(head[1]) & VLAN_VID;
}

/* Almost all frames are for the device's own address or broadcast: they need no list. */
static __always_inline int broadcast_or_own(const struct net_device *dev, const struct mac *dst)
{
	struct mac own = {};

	if (dst->octets[0] & 1)
		return (*(const __u64 *)dst | 0xffffULL << 48) == ~0ULL;
	bpf_probe_read_kernel(&own, ETH_ALEN, BPF_CORE_READ(dev, dev_addr));
	return same(dst, &own);
}

static __always_inline int is_member(__u32 vid)
{
	__u32 word = vid / 64;

	/* Hide word from the compiler, which would remove the bound that the verifier of Linux 6.1 needs. */
	asm volatile("" : "+r"(word));
	word &= VLAN_VID / 64;
	return rules.vids[word] >> (vid % 64) & 1;
}

static __always_inline int accepts(struct __sk_buff *skb)
{
	struct net_device *dev = (void *)rules.device;
	struct mac dst = {};

	if (!dev || bpf_skb_load_bytes(skb, 0, &dst, ETH_ALEN) < 0)
		return 0;

	int ours = broadcast_or_own(dev, &dst);
	__u32 vid = rules.vlans ? vid_of(skb) : 0;
	int foreign = vid && !is_member(vid);

	if (ours && !foreign)
		return 1;

	__u32 slots = rules.slots, uc = rules.one_mac ? 0 : BPF_CORE_READ(dev, uc.count);
	/* The kernel makes a device without a unicast filter promiscuous once, for its list (uc_promisc). */
	int promisc = BPF_CORE_READ(dev, promiscuity) > BPF_CORE_READ(dev, uc_promisc);

	promisc |= rules.overflows && uc > slots;
	if (promisc && !rules.no_promisc)
		return 1;
	if (foreign)
		return 0;
	if (!(dst.octets[0] & 1))
		return uc && holds(&dev->uc, &dst, slots);
	if (BPF_CORE_READ(dev, allmulti))
		return 1;

	__u32 left = slots > uc ? slots - uc : 0;

	return (rules.overflows && BPF_CORE_READ(dev, mc.count) > left) || holds(&dev->mc, &dst, left);
}

/* tc egress of the far end of a veth pair. TC_ACT_STOLEN, not TC_ACT_SHOT: the sender must see no error. */
SEC("tc")
int rx_cable(struct __sk_buff *skb)
{
	return accepts(skb) ? -1 : 4;
}

/* Socket filter of the far TAP. */
SEC("socket")
int rx_wire(struct __sk_buff *skb)
{
	return accepts(skb) ? skb->len : 0;
}

/* Finds the net_device with an ifindex in the namespace of the thread that runs it. */
SEC("tc")
int find(struct __sk_buff *skb)
{
	struct task_struct *me = (void *)bpf_get_current_task();
	struct net *net = BPF_CORE_READ(me, nsproxy, net_ns);
	struct list_head *at = BPF_CORE_READ(net, dev_base_head.next);

	found = 0;
	for (int i = 0; i < MAX_DEVICES; i++) {
		struct net_device *dev;

		if (!at || at == &net->dev_base_head)
			break;
		dev = (void *)at - bpf_core_field_offset(struct net_device, dev_list);
		if (BPF_CORE_READ(dev, ifindex) == wanted) {
			found = (__u64)dev;
			break;
		}
		at = BPF_CORE_READ(at, next);
	}
	return 0;
}

char __license[] SEC("license") = "Dual MIT/GPL";
