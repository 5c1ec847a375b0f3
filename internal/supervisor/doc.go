// SPDX-License-Identifier: MIT

// Package supervisor is a team's process seen from within: how it talks to who stands behind it, and the descriptors
// that outlive it.
//
// The protocol is that of sd_notify(3) and sd_listen_fds(3), so that systemd and the keeper (internal/keeper) are the
// same to a team's process. Messages are datagrams of lines: READY=1, STATUS=…, WATCHDOG=1. FDSTORE=1 with
// FDNAME=… and a descriptor (SCM_RIGHTS) has the supervisor keep a duplicate; the next process finds it open, from
// descriptor 3 on, named in LISTEN_FDNAMES.
//
//	systemd      a unixgram socket named in NOTIFY_SOCKET
//	the keeper   a SOCK_SEQPACKET pair, inherited under the name "keeper": no other process can write to it, what a
//	             dead process wrote is read to its end, and both sides notice when the other one is gone
//	nobody       the process keeps the duplicates itself, for a program that it executes in its own place (InPlace)
package supervisor
