// SPDX-License-Identifier: MIT

package daemon

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness of a team's process: a busy host must not delay its network or a failover.
const niceness = -10

// RaisePriority raises the priority of all threads; later ones inherit it. Without the permission the team works with
// normal priority.
func RaisePriority() {
	raiseSessionPriority()
	for range maxRaises {
		if !raiseThreads() {
			return
		}
	}
}

// maxRaises is more passes over the threads than it takes.
const maxRaises = 100

// raiseThreads raises the threads that are there, and reports whether another pass is needed: one that is not raised
// yet may start others, which have its priority.
func raiseThreads() (again bool) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		// The system call returns 20 less the niceness.
		if has, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err != nil || has == 20-niceness {
			continue // it has ended, or is raised
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, niceness); err == nil {
			again = true
		}
	}
	return again
}

// raiseSessionPriority raises the priority of the session: with autogroup (sched(7)) niceness counts only within a
// session. The session of somebody else, such as the shell of a foreground process, stays unchanged.
func raiseSessionPriority() {
	if sid, err := unix.Getsid(0); err != nil || sid != os.Getpid() {
		return
	}
	f, err := os.OpenFile("/proc/self/autogroup", os.O_WRONLY, 0)
	if err != nil {
		return // no autogroup
	}
	defer f.Close()
	_, _ = f.WriteString(strconv.Itoa(niceness))
}
