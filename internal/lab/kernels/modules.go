// SPDX-License-Identifier: MIT

package main

// wantedModules are the modules that the tests may need. The kernel loads them itself when a device, a qdisc or a
// filter of that kind is created; only tun and the driver of the virtio NICs are loaded by the guest, as udev does.
var wantedModules = []string{
	"tun", "virtio_pci", "virtio_net",
	"veth", "bridge", "dummy", "bonding", "macvlan", "macvtap", "vxlan", "8021q", "team", "vrf", "ifb", "netdevsim",
	"sch_ingress", "sch_tbf", "sch_htb", "sch_netem", "sch_fq_codel", "sch_fq",
	"cls_bpf", "cls_u32", "cls_matchall", "act_mirred", "act_gact", "act_police",
	"nf_tables", "nf_tables_netdev", "nft_chain_filter", "nft_ct", "nft_counter", "nft_log", "nft_reject", "nft_masq",
	"nft_chain_nat", "nf_conntrack_netlink", "nf_conntrack_ftp", "nft_dup_netdev", "nft_fwd_netdev",
	"nft_compat", "xt_MASQUERADE",
	"ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_lc", "ip_vs_wlc", "nft_fib", "nft_fib_ipv4",
	"overlay", "packet_diag", "inet_diag", "udp_diag", "tcp_diag", "crc32c_generic", "libcrc32c", "af_packet",
	"ip_tunnel",
}
