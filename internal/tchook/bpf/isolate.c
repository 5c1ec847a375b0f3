/*
 * What hides a member from the host's own stack: tc ingress of a member, behind the data path's socket and program.
 *
 * The stack's IP and ARP get nothing, for they get it by the adapter. All other protocols are the NIC's own business: EAPOL, LLDP, PTP,
 * MACsec, OAM and whatever else has a socket or a part of the kernel on the NIC goes on hearing. So do sockets for ARP, and whoever
 * has asked for an address by DHCP on the NIC: frames that are marked as another host's reach sockets, and no protocol of the stack.
 * Frames of VLANs are not the NIC's, but those of VLAN 0 have only a priority.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NEXT -1
#define SHOT 2

#define TYPE_IPV4 0x0800
#define TYPE_ARP 0x0806
#define TYPE_VLAN 0x8100
#define TYPE_IPV6 0x86dd
#define TYPE_QINQ 0x88a8

#define L3 14
#define IPV6_LEN 40
#define PROTO_UDP 17
#define CLIENT4 68
#define CLIENT6 546

#define AF_INET 2

/* Sockets hear the frame, the stack does not. */
static __always_inline int for_sockets(struct __sk_buff *skb)
{
	return bpf_skb_change_type(skb, PACKET_OTHERHOST) == 0 ? NEXT : SHOT;
}

/* Whether an UDP socket that is bound to this NIC waits for the packet. */
static __always_inline int awaited(struct __sk_buff *skb, struct bpf_sock_tuple *t, __u32 size)
{
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, t, size, BPF_F_CURRENT_NETNS, 0);
	int bound = 0;

	if (sk) {
		bound = sk->bound_dev_if == skb->ifindex;
		bpf_sk_release(sk);
	}
	return bound;
}

/* Whether the stack would keep a packet that comes by this NIC, and not forward it. */
static __always_inline int stays(struct __sk_buff *skb, __be32 from, __be32 to)
{
	struct bpf_fib_lookup q = { .family = AF_INET, .ifindex = skb->ifindex, .ipv4_src = from, .ipv4_dst = to };

	if (to == 0xffffffff)
		return 1;
	int got = bpf_fib_lookup(skb, &q, sizeof(q), 0);
	return got == BPF_FIB_LKUP_RET_NOT_FWDED || got == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

static __always_inline int answer4(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	__u8 b[20];
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, L3 + 9, b, 1) < 0 || b[0] != PROTO_UDP)
		return SHOT;
	if (bpf_skb_load_bytes(skb, L3, b, sizeof(b)) < 0 || b[0] >> 4 != 4 || (b[6] & 0x1f) || b[7])
		return SHOT;
	if (bpf_skb_load_bytes(skb, L3 + (b[0] & 0xf) * 4, ports, sizeof(ports)) < 0 || ports[1] != bpf_htons(CLIENT4))
		return SHOT;
	__builtin_memcpy(&t.ipv4.saddr, b + 12, 4);
	__builtin_memcpy(&t.ipv4.daddr, b + 16, 4);
	t.ipv4.sport = ports[0];
	t.ipv4.dport = ports[1];
	if (!awaited(skb, &t, sizeof(t.ipv4)))
		return for_sockets(skb);
	if (skb->pkt_type != PACKET_HOST && skb->pkt_type != PACKET_OTHERHOST)
		return NEXT;
	/* It may be addressed to the adapter, and must not be forwarded here and there. */
	if (!stays(skb, t.ipv4.saddr, t.ipv4.daddr))
		return for_sockets(skb);
	bpf_skb_change_type(skb, PACKET_HOST);
	return NEXT;
}

static __always_inline int answer6(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	__be16 ports[2];
	__u8 next;

	if (bpf_skb_load_bytes(skb, L3 + 6, &next, 1) < 0 || next != PROTO_UDP)
		return SHOT;
	if (bpf_skb_load_bytes(skb, L3 + IPV6_LEN, ports, sizeof(ports)) < 0 || ports[1] != bpf_htons(CLIENT6))
		return SHOT;
	if (bpf_skb_load_bytes(skb, L3 + 8, t.ipv6.saddr, 32) < 0)
		return SHOT;
	t.ipv6.sport = ports[0];
	t.ipv6.dport = ports[1];
	if (!awaited(skb, &t, sizeof(t.ipv6)))
		return for_sockets(skb);
	/* Answers go to link-local addresses, which nobody forwards. */
	if (skb->pkt_type == PACKET_OTHERHOST && (t.ipv6.daddr[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
		bpf_skb_change_type(skb, PACKET_HOST);
	return NEXT;
}

SEC("tc")
int isolate(struct __sk_buff *skb)
{
	if (skb->vlan_present && skb->vlan_tci & 0xfff)
		return SHOT;
	switch (bpf_ntohs(skb->protocol)) {
	case TYPE_IPV4:
		return answer4(skb);
	case TYPE_IPV6:
		return answer6(skb);
	case TYPE_ARP:
		return for_sockets(skb);
	case TYPE_VLAN:
	case TYPE_QINQ:
		return SHOT;
	}
	return NEXT;
}

char _license[] SEC("license") = "GPL";
