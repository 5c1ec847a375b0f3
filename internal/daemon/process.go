package daemon

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness of a team's process: whatever else the host computes, its network comes first, and a dead NIC is left at once.
const niceness = -10

// raisePriority raises the priority of all threads; those that come later inherit it. Where that is not permitted the team
// works all the same.
func raisePriority() {
	raiseSessionPriority()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, niceness)
		}
	}
}

// raiseSessionPriority raises the priority of the session among others: kernels that group processes by session (autogroup)
// compare niceness only within one. The session of somebody else, a shell that has the process in the foreground, stays as
// it is.
func raiseSessionPriority() {
	if sid, err := unix.Getsid(0); err != nil || sid != os.Getpid() {
		return
	}
	f, err := os.OpenFile("/proc/self/autogroup", os.O_WRONLY, 0)
	if err != nil {
		return // a kernel without
	}
	defer f.Close()
	_, _ = f.WriteString(strconv.Itoa(niceness))
}
