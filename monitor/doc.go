// Package monitor says whether the members of a team are usable.
//
// A link watch ([Carrier]) reports the present state of NICs, never an edge: a report replaces the
// one before it, so one that comes late or twice does no harm. [Debounce] turns the states of one
// NIC into a verdict that has outlasted its delay.
//
//	Source ──events──┐
//	  ──carrier 10 ms┼→ Carrier ──LinkState──→ team.Loop ──→ Debounce ──→ Plan
//	data path ─Poke──┘
//
// Why three ways to notice one thing: Linux reports the carrier loss of an ordinary NIC at most
// once a second for the whole machine when another link event came just before
// (net/core/link_watch.c), so the second of two cables pulled 100 ms apart is reported 900 ms
// late. Reading the carrier itself shows the truth at once.
//
// Nothing in here does I/O: what the kernel says comes through [Source].
package monitor
