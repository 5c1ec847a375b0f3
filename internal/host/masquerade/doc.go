// SPDX-License-Identifier: MIT

// Package masquerade keeps masqueraded connections while their address moves to another interface.
//
// A masquerade remembers the interface by which a connection left (nf_conn_nat.masq_index). The kernel ends the
// connection when the address leaves that interface (masq_inet_event), and even before, when a packet of it leaves by
// another one (nf_nat_oif_changed): a download of a container is cut although its address is still the host's. The
// kernel lets nobody change what it remembered. A connection that ctnetlink creates remembers nothing and lives as long
// as its address is the host's. So each connection is deleted and created again with the same translation (rebound),
// before routes and addresses move. Where the host's rules masquerade all that leaves it, its own connections are among
// them.
//
// A packet that comes between the two messages would find no connection, and the host would answer with a reset: see
// guard.
package masquerade
