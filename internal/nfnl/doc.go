// SPDX-License-Identifier: MIT

// Package nfnl speaks nfnetlink, netfilter's netlink, and reads the firewall's rules as the kernel has them: nftables,
// the older iptables, and ipsets with interfaces. Neither nft nor iptables need be installed.
//
//	conn                   a socket: dumps, batches, transactions, events
//	nft_ruleset nft_match  rules, sets and hooks of nftables; a rule evaluated as far as it depends on an interface
//	xtables ipset          the same of iptables' tables
//	effect                 what a rule does to the packets of an interface, and how two interfaces differ by that
//
// Numbers of netfilter are in network byte order. The kernel's side is net/netfilter.
package nfnl
