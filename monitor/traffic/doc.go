// SPDX-License-Identifier: MIT

// Package traffic keeps the history of what a team carried: bytes and frames by member, direction and protocol, from
// the totals that the data path has each second.
//
//	totals ──Add──→ difference to the last ──→ fine ring    a record a second, the last hour
//	                        └──coarsen──────→ coarse ring  a record each 10 s with its busiest second, the last day
//	Snapshot ──Query──→ columns: sums and peaks        Snapshot ──WriteTo──→ file ──Read──→ History
//
// A record has its start and end, so sums and rates are exact whenever the totals were read. Time without a record is a
// gap, not a time without traffic: the process was down, the host was suspended or its clock jumped.
//
// Both rings hold their records as bytes (block.go): as arrays of integers eight members would need 37 MB. The rings
// together take at most 7.9 MB, whatever the number of members, and drop the oldest records. Eight members with
// gigabits of TCP and UDP each have the whole hour and day, and 22 hours of the day with all other protocols in every
// second; 64 such members have 9 minutes of seconds and 2½ hours of ten seconds.
//
// The package reads no clock, never waits and does no I/O. One goroutine at a time uses a History; any may use a
// Snapshot.
package traffic
