// SPDX-License-Identifier: MIT

// Package monitor says whether the members of a team are usable.
//
// The carrier watch ([Carrier]) reports the state of NICs, never an edge: a report replaces the one before it, so a
// late or repeated one does no harm. The other link watches ([Watches]) ask: a light is not a link. [Debounce] turns
// what both say of one member into a verdict once it has lasted for the delay, and [Damping] lets one wait that fails
// too often.
//
//	Source ──events──┐
//	  ──carrier 10 ms┼→ Carrier ──LinkState──→ team.Loop ─∧→ Debounce ──→ Damping ──→ Plan
//	data path ReadNow┘                             ↑↓     ↑
//	frames, counters, targets, members ──────→ Watches ─Verdict
//
// Events alone are too late: Linux delivers non-urgent link events at most once a second for the whole host
// (net/core/link_watch.c), so the second of two cables pulled 100 ms apart is reported 900 ms late. Reading the carrier
// shows it at once.
//
// A member's way through Watches:
//
//	            first answer                    a miss, silence, probes that stop
//	link comes ─────────────→ up ─────────────────────────────────→ suspect ──→ round: all members ask
//	  waiting ──admission_wait──→ round             ↑  answered              │
//	                                                ├────────────────────────┤
//	                                                │  nobody is answered    │ others are answered
//	                                                └── (a warning) ─────────┤
//	                            two answers in a row                         ↓
//	                  up ←───────────────────────────────────────────────── down
//
// The package does no I/O: [Source] reads the kernel, and the owner of a Watches sends and receives for it.
package monitor
