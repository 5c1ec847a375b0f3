// SPDX-License-Identifier: MIT

// Package daemon is the process of a team. It wires host, adapter, data path and control loop together and runs them.
//
//	run       lock, session, control socket, the end (run.go, process.go)
//	start     takeover in order (start.go, start_adapter.go, start_team.go, forwarding.go)
//	session   what the process holds (session.go), and giving it back (giveback.go)
//	requests  of the control socket: add, remove, set, delete (change.go); status, history, explain (query.go)
//	follow    what others change on the host (follow.go, follow_links.go, adapter_mac.go, late_addresses.go,
//	          leases.go, filters.go, rxmode.go), and whom link watches can ask (watch_targets.go)
//	dhcp      the team's own DHCP clients (dhcp_clients.go, dhcp_lease.go, start_dhcp.go), and leases whose client
//	          does not hear its answers (dhcp_takeover.go)
//	managers  who configures NICs, and names' servers (managers.go)
//	rejoin    a NIC that was gone and is back (rejoin.go), or was missing at the start (missing.go)
//	restart   what the next process needs: history.go, lacp_state.go, checkpoint_file.go, dhcp_state.go; how it
//	          goes on: start_warm.go
//
// Everything a session does to the host is idempotent and journalled by package host. A process that starts where
// another one died resumes with the same adapter; one that fails puts everything back. Package launch starts this
// process and has what callers share with it.
package daemon
