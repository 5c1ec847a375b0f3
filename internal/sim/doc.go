// SPDX-License-Identifier: MIT

// Package sim is a whole network in memory: virtual time, NICs, wires, switches, hosts and their traffic, and teams
// whose control loop, modes and link logic are the real ones ([team.Loop], modes, monitor). It is for tests: a
// simulated day of an idle team takes seconds, and a seed replays exactly.
//
// A [World] has one queue of events and one source of randomness; there is no goroutine and no real clock. What
// surrounds a Loop in a running team (the shell team.Team, internal/relay, the carrier watch, the kernel) is modelled
// here in virtual time, as simply as possible.
//
// The path of a frame:
//
//	Flow → Stack (neighbour cache) → NIC ──── Wire → Switch → Wire → NIC → … → Stack → Flow
//	                               ↘ Team: transmit → member's NIC ↗   ↘ receive ↗
//
// A group of a switch's ports may run LACP (Partner), with package lacp or as Open vSwitch does; the switch forwards
// by the ports that distribute.
//
// invariant.go and invariant_lacp.go list the invariants. The first violation ends the run with a log of what led to
// it.
package sim
