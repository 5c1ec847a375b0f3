// Package traffic remembers what a team carried: totals of the data path go in once a second, bytes and
// frames by member, direction and protocol, and what moved when comes out.
//
//	totals ──Add──→ what moved in the second ──→ fine ring    every second, the last hour
//	                          └──gather 10 s──→ coarse ring  every 10 s with its busiest second, the last day
//	Snapshot ──Query──→ columns: sums and peaks        Snapshot ──WriteTo──→ file ──Read──→ History
//
// A record says from when to when it was, so sums and rates are exact whenever the totals were read. Time that
// no record covers is a gap: the process was down, the machine stood still or its clock jumped. A gap is
// not a time without traffic.
//
// Both rings keep their records as bytes (block.go): as arrays of integers eight members would need 37 MB. The rings together
// take at most 7.9 MB, whatever the number of members; what does not fit is the oldest. Eight members with gigabits of TCP and
// UDP each have their whole hour and day in it, and 22 hours of the day if all other protocols are there in every second
// too; 64 such members have 9 minutes of seconds and 2½ hours of ten seconds.
//
// Nothing in here reads a clock, waits or does I/O. A History is for one goroutine at a time; a Snapshot may be used by any.
package traffic
