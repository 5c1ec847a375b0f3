// SPDX-License-Identifier: MIT

// Package dhcp is a DHCPv4 client (RFC 2131) for the adapter. It acquires a lease, or continues one that another client
// acquired for a member and can no longer renew: answers reach the adapter, not the member.
//
//	          DISCOVER            REQUEST           ARP probes
//	selecting ────────→ offer ───→ requesting ───→ checking ───→ bound ──T1─→ renewing ──T2─→ rebinding
//	    ↑                              ↑ NAK, no answer            ↑   ACK        │ ACK          │ ACK
//	    │                 rebooting ───┴───────────────────────────┴──────────────┴──────────────┤
//	    └────────── NAK, conflict, expired ──────────────────────────────────────────────────────┘
//
// Machine decides; it does no I/O and knows no clock. Client runs a Machine on a Link.
package dhcp
