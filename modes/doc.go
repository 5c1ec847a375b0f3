// SPDX-License-Identifier: MIT

// Package modes decides how a team's frames are spread. It is pure: no I/O, no goroutine, no clock, so every decision
// can be tested without a network.
//
// A Mode turns State and time into a spread.Plan, the immutable table that a data path executes:
//
//	State → usable members (link watches, drains) → MinMembers → the mode's rule → Plan, Effects
//	Tick → what is due: the end of an overlap, of a migration, LACP's timers
//	Received → 802.3ad runs LACP (aggregation.go), elb steers peers (package steer)
//	Measured → elb moves flows and peers by load
//
// A mode is a file, or a group of files with its name, and a row of Table:
//
//	spreader.go       round-robin, xor, broadcast: for a switch with a static LAG
//	activebackup.go   active-backup, and every mode with balance off
//	aggregation*.go   802.3ad
//	elb*.go           elb
package modes
