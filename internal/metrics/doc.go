// SPDX-License-Identifier: MIT

// Package metrics exports the metrics of teams to Prometheus. docs/monitoring.md lists the names: base units, and
// counters end in _total.
//
//	Status + Totals ──Team──→ one team's metrics ──Handler──→ GET /metrics on its socket
//	the sockets' texts ──Host──→ all teams' metrics ──Handler──→ nicteam metrics --listen
//	                                               ├──Write───→ nicteam metrics
//	                                               └─Bonding──→ nicteam metrics --textfile
//
// A scrape reads counters of the data path; nothing here runs per frame. Only failovers are counted here, from the
// team's events.
package metrics
