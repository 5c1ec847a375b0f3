// SPDX-License-Identifier: MIT

// Package monitor says whether the members of a team are usable.
//
// A link watch ([Carrier]) reports the state of NICs, never an edge: a report replaces the one before it, so a late or
// repeated one does no harm. [Debounce] turns the reports of one NIC into a verdict once they have lasted for the
// delay.
//
//	Source ──events──┐
//	  ──carrier 10 ms┼→ Carrier ──LinkState──→ team.Loop ──→ Debounce ──→ Plan
//	data path ReadNow┘
//
// Events alone are too late: Linux delivers non-urgent link events at most once a second for the whole host
// (net/core/link_watch.c), so the second of two cables pulled 100 ms apart is reported 900 ms late. Reading the carrier
// shows it at once.
//
// The package does no I/O: [Source] reads the kernel.
package monitor
