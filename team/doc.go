// SPDX-License-Identifier: MIT

// Package team makes NICs work as one: the control loop, the members, the status and the events, and the interfaces
// that it needs from below ([Datapath], [Adapter], [AddressSource]).
//
// [Loop] decides and is pure: an input and the time go in, an [Output] comes out. It starts no goroutine, reads no
// clock and does no I/O, so every order of events can be tried in virtual time. [Team] is the shell around it: one
// goroutine owns the Loop and executes its outputs. What may block (opening a NIC, reading addresses, setting the
// carrier) happens in other goroutines, so that it never delays a failover.
//
//	link watch ──LinkState──┐
//	data path ──Control─────┤              ┌→ 1. Plan      → Datapath.Apply
//	  tables  ──Measured────┤              │
//	  counters ──Traffic────┤              │
//	Join Drain Leave Set ───┼→ Loop.Handle ┼→ 2. frames    → Datapath.Send
//	time ──Tick─────────────┘    │         ├→ 3. carrier   → Adapter (own goroutine)
//	                             ↓         ├→ 4. announce  → AddressSource, Datapath.Send (own goroutine)
//	              monitor.Watches, Mode    └→ 5. events, Status
//
// The states of a member:
//
//	reserved ─Joined→ down ⇄ up ─(mode)→ standby or distributing
//	                   │  ↘ absent (NIC is gone) ─Reopen, Reopened→ down
//	                   └─Drain→ draining ─Leave→ leaving ─Released→ id free
//
// Which members are used: watch.go (link watches), damping.go, fitness.go, override.go (where none is left).
//
// Files: loop.go and reconcile.go are an event's way; team.go is the shell, members.go its methods, sampling.go its
// counters for the link watches.
package team
