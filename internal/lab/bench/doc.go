// Command bench compares a team with a plain NIC and with Open vSwitch's user-space bond, side by side
// on hosts of package lab, in private namespaces; `make bench` builds and runs it.
//
// All contestants of a measure stand ready at the same time and take short turns; the order rotates from
// round to round. A figure is the median of the turns, a ratio the median of the ratios within
// each round, so what the machine does meanwhile disturbs both sides alike. Absolute figures are never to be
// compared between runs. A figure that could not be taken is said with its reason, never filled in.
//
// Gaps are measured on cables, whose frames the kernel carries without a process, from the moment the
// carrier's flag goes; beside them stands what the same traffic has without a cut, and what the
// machine's standstills are known to have added is left out.
package main
