// SPDX-License-Identifier: MIT

// Package backlog estimates how many bytes wait for a member by which programs in the kernel transmit. Such frames are
// in no socket of this process, but in the queueing discipline (qdisc) of the NIC and in the NIC itself.
//
//	programs ──redirect──▶ qdisc ──────────────────▶ ring of the NIC ──────▶ wire
//	TxTotals               QdiscStats                (no counter)            LinkStats
//	WireBytes, SKBBytes    Backlog, SentBytes, Drops                         TxBytes, TxDropped
//
//	backlog = transmitted by the programs − TxBytes of the NIC, except:
//
//	case                                  how it shows                        estimate
//	NIC counts a super-frame as segments  TxBytes grows as WireBytes          in bytes on the wire
//	NIC counts a super-frame as one       TxBytes grows as SKBBytes           in bytes of SKBs, scaled to the wire
//	other processes transmit by the NIC   qdisc backlog exceeds the estimate  raised to the qdisc backlog
//	frames are dropped (bytes unknown)    Drops, TxDropped                    qdisc backlog + what was in the ring
//	                                                                          + sent by the qdisc − TxBytes
//	driver updates TxBytes once a second  TxBytes stands still for 60 ms      qdisc backlog alone, for 10 s
//	                                      while the qdisc sends
//	idle                                  50 ms without transmission,         0
//	                                      TxBytes or qdisc backlog
//	another NIC, or its counters reset    TxBytes goes back                   the qdisc backlog, and on from there
//
// An Estimator does the arithmetic of one member; a StatsReader reads the counters of all by netlink.
package backlog
