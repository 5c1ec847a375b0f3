// SPDX-License-Identifier: MIT

// Package ssh finds the SSH sessions of this host, the links that they go by, and how their TCP connections stand. A
// change of the network may cut the session off that asks for it.
//
// A session is the TCP connection of an SSH server's process. Two sources name that of the caller: SSH_CONNECTION,
// which sudo drops and a terminal multiplexer keeps beyond the connection, and the sockets of the processes above this
// one. Either counts only while sock_diag(7) shows the connection as established in this network namespace. Sockets of
// other processes need root's rights; without them only SSH_CONNECTION is known.
//
// The link is that of the route to the client. A session in a tunnel (WireGuard, GRE) is known by the tunnel's link,
// not by the NIC of the tunnel's packets.
package ssh
