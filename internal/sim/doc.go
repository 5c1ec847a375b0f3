// Package sim is a whole network in memory: virtual time, NICs, wires, switches, hosts and their traffic, and
// teams whose control loop, modes and link logic are the real ones ([team.Loop], modes, monitor). It is for
// tests: a simulated day of a team at rest takes seconds, and a seed replays exactly.
//
// A [World] has one queue of events and one source of randomness; there is no goroutine and no real clock. What is
// around a Loop in a running team (the shell team.Team, internal/relay, the carrier watch, the kernel) is done again
// here in virtual time, as simply as possible, so that a test can hold the two against each other's rules.
//
// The way of a frame:
//
//	Flow → Stack (neighbour cache) → NIC ──── Wire → Switch → Wire → NIC → … → Stack → Flow
//	                               ↘ Team: transmit → member's NIC ↗   ↘ receive ↗
//
// A group of a switch's ports may speak LACP (Partner), with machines of ours or with Open vSwitch's habits; the switch
// then forwards by what they say, and nothing else comes through.
//
// Whatever must hold at any moment is checked where it can be broken: invariant.go and invariant_lacp.go list it. The
// first breach ends the run with the story of what led to it.
package sim
