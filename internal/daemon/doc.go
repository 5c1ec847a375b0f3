// Package daemon wires a team together out of host, adapter, data path and control loop, and runs it.
//
//	create   checks, then starts `nicteam run` detached and waits for it        (create.go, spawn.go)
//	run      the team's own process: lock, session, control socket, signals      (run.go)
//	session  takeover in order, and back                                         (session.go, release.go)
//	changes  add, remove, set, delete of a running team                          (change.go)
//	return   a NIC that was gone and is back, or was missing at the start        (rejoin.go, await.go)
//	restore  the host from the journal when the process is gone                  (restore.go)
//
// Everything a session does to the host is idempotent and journalled by package host, so a process that
// starts where another one died goes on with the same adapter, and one that fails puts everything back.
package daemon
