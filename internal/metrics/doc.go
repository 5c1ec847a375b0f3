// SPDX-License-Identifier: MIT

// Package metrics tells Prometheus about teams. The names are those of docs/monitoring.md: base units,
// and counters end in _total.
//
//	Status + Totals ──Team──→ one team's figures ──Handler──→ GET /metrics on its socket
//	the sockets' texts ──Host──→ all teams' figures ──Handler──→ nicteam metrics --listen
//	                                               └──Write───→ nicteam metrics
//
// A scrape reads the counters that the data path keeps anyway; nothing here is done per frame. The
// only figures that are counted here are those of failovers, from the team's events.
package metrics
