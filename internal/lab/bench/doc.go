// SPDX-License-Identifier: MIT

// Command bench compares a team with a plain NIC and with Open vSwitch's user-space bond, side by side on hosts of
// package lab, in private namespaces; `make bench` builds and runs it.
//
// All contestants of a measure are set up at the same time and take short turns; the order rotates from round to round.
// A figure is the median of the turns, a ratio the median of the ratios within each round, so that other load on the
// machine disturbs both sides alike. Never compare absolute figures of two runs. A figure that could not be taken is
// reported with the reason, never filled in.
//
// Gaps are measured on cables, whose frames the kernel forwards without a process, from the loss of the carrier. Beside
// them is the longest gap of the same traffic without a cut; standstills of the machine are subtracted.
package main
