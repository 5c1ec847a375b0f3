// SPDX-License-Identifier: MIT

// Package tchook puts a team's programs on the tc hooks of NICs: those of the data path, and the one that isolates a
// member from the host's own IP stack.
//
//	            ETH_P_ALL sockets ─ tcx or clsact: attached program ─ isolation ─ the host's IP stack
//	member ──►  (relay, unless the  (fast path)                      (bpf/isolate.h)
//	             fast path moves all)
//
// By tcx both are one program (shared.go).
//
// A tcx link (Linux 6.6) ends with the process. A filter of clsact and a chain of nftables outlive it, so they are
// journalled before they are made (Journal).
//
//	hooks         what this process holds on hooks; tcx
//	attach        programs of the data path
//	isolate       the program that isolates, by tcx, clsact or nft
//	shared        one link for both
//	clsact nft    the other mechanisms
//	hook_owner    who else is on a hook
//	bpf_error     why a program was refused, in words
//
// Order on a hook is the kernel's: __netif_receive_skb_core, then sch_handle_ingress (net/core/dev.c).
package tchook
