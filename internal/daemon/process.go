// SPDX-License-Identifier: MIT

package daemon

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// niceness of a team's process: a busy host must not delay its network or a failover.
const niceness = -10

// raisePriority raises the priority of all threads; later ones inherit it. Without the permission the team works with
// normal priority.
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

// keptCapabilities are for links, packet sockets, and the programs that hide later members from the host.
var keptCapabilities = []int{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON}

// dropPrivileges drops all other capabilities of all threads, and with no_new_privs the way to get any by exec.
func dropPrivileges() error {
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		if errors.Is(e, syscall.ENOTSUP) {
			return nil // a test binary with cgo, where the runtime cannot reach all threads
		}
		return fmt.Errorf("set no_new_privs: %w", e)
	}
	var keep uint64
	for _, c := range keptCapabilities {
		keep |= 1 << uint(c)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&head, &have[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for i := range have {
		mask := uint32(keep >> (32 * i))
		have[i] = unix.CapUserData{Effective: have[i].Effective & mask, Permitted: have[i].Permitted & mask}
	}
	_, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&have[0])), 0)
	if e != 0 {
		return fmt.Errorf("drop capabilities: %w", e)
	}
	return nil
}
