// Package team makes NICs work as one: it owns the control loop, the members, the status and the
// events, and the interfaces that it needs from below ([Datapath], [Adapter], [Announcer]).
//
// There are two halves. [Loop] decides and is pure: an input and the time go in, an [Output] comes
// out; it starts no goroutine, reads no clock and does no I/O, so that every order of events can be
// tried in virtual time. [Team] is the shell around it: one goroutine owns the Loop and executes
// its outputs; whatever may block (opening NICs, reading addresses, setting the carrier) happens
// elsewhere, so that a failover is never late because something else is going on.
//
//	link watch ──LinkState──┐
//	data path ──Control─────┤              ┌→ 1. Plan      → Datapath.Apply
//	  tables  ──Measured────┤              │
//	Join Drain Leave Set ───┼→ Loop.Handle ┼→ 2. frames    → Datapath.Send
//	time ──Tick─────────────┘    │         ├→ 3. carrier   → Adapter (own goroutine)
//	                             ↓         ├→ 4. announce  → Announcer, Datapath.Send (own goroutine)
//	                        modes.Mode     └→ 5. events, Status
//
// A member's way through its states:
//
//	reserved ─Joined→ down ⇄ up ─(mode)→ standby or distributing
//	                   │  ↘ absent (NIC is gone) ─Returned→ down
//	                   └─Drain→ draining ─Leave→ leaving ─Released→ id free
package team
