// SPDX-License-Identifier: MIT

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errThreads is returned in a test binary with cgo, where the Go runtime cannot reach all threads.
var errThreads = errors.New("not all threads can be reached")

// allThreads makes a system call in every thread.
func allThreads(nr uintptr, a ...uintptr) error {
	var args [6]uintptr
	copy(args[:], a)
	_, _, e := syscall.AllThreadsSyscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5])
	switch {
	case errors.Is(e, syscall.ENOTSUP):
		return errThreads
	case e != 0:
		return e
	}
	return nil
}

// KeepCapabilities drops all other capabilities of all threads, and with no_new_privs the way to get any by execve(2).
func KeepCapabilities(list ...int) error {
	err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	if errors.Is(err, errThreads) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	var keep uint64
	for _, c := range list {
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
	err = allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&have[0])))
	if err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// BecomeUser makes root's process one of another user, with that user's group alone. It does nothing, and returns
// false, if there is no such user or the process is not root's. Capabilities go with root's user ID.
func BecomeUser(name string) (bool, error) {
	if os.Geteuid() != 0 {
		return false, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return false, nil
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil || uid == 0 {
		return false, fmt.Errorf("user %s has the ID %s", name, u.Uid)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return false, fmt.Errorf("user %s has the group %s", name, u.Gid)
	}
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return false, fmt.Errorf("become user %s: set groups: %w", name, err)
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return false, fmt.Errorf("become user %s: set group: %w", name, err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return false, fmt.Errorf("become user %s: set user: %w", name, err)
	}
	return true, nil
}
