// SPDX-License-Identifier: MIT

// Package sim is a whole network in memory: virtual time, NICs, wires, switches, hosts and their traffic, and teams
// whose control loop, modes and link logic are the real ones ([team.Loop], modes, monitor). It is for tests: a
// simulated day of an idle team takes seconds, and a seed replays exactly.
//
// A [World] has one queue of events and one source of randomness; there is no goroutine and no real clock. The
// surroundings of a Loop in a running team (the shell team.Team, internal/relay, the carrier watch, the kernel) are
// modelled here in virtual time, as simply as possible.
//
// The way of a frame:
//
//	Flow → Stack (neighbour cache) → NIC ──── Wire → Switch → Wire → NIC → … → Stack → Flow
//	                               ↘ Team: transmit → member's NIC ↗   ↘ receive ↗
//
// A group of a switch's ports may run LACP (Partner), with our machines or as Open vSwitch does; the switch forwards by
// them.
//
// Invariants are checked where they can be broken; invariant.go and invariant_lacp.go list them. The first breach ends
// the run with the story of what led to it.
package sim
