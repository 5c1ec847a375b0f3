// SPDX-License-Identifier: MIT

// Package systest tests the nicteam binary on hosts made of network namespaces: the processes, what they do to a
// host, and traffic through a team.
//
//	world_*   the hosts, the traffic and what the tests ask of them
//	host_*    a host and its team: create, refuse, kill, restore, delete
//	real_*    traffic: modes, link watches, LACP partners, data paths, other programs
//	lives_*   random sequences of what users, other programs and failures do
//
// internal/lab has the namespaces, switches and NICs.
package systest
