// Package daemon is the process of a team: it wires host, adapter, data path and control loop together and runs them.
//
//	run      lock, session, control socket, signals, the end                     (run.go)
//	session  takeover in order, and back                                         (session.go, release.go)
//	changes  add, remove, set, delete of a running team                          (change.go)
//	follow   what others change on the host                                      (follow.go)
//	return   a NIC that was gone and is back, or was missing at the start        (rejoin.go, await.go)
//
// Everything a session does to the host is idempotent and journalled by package host, so a process that
// starts where another one died goes on with the same adapter, and one that fails puts everything back.
// Package launch starts this process and has what callers share with it.
package daemon
