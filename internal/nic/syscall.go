// SPDX-License-Identifier: MIT

package nic

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message is struct mmsghdr, which x/sys does not declare.
type message struct {
	unix.Msghdr
	n uint32
}

// receiveMessages is recvmmsg(2) without waiting.
func receiveMessages(fd uintptr, m []message) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendMessages is sendmmsg(2) without waiting. It returns an error only if the first message was not sent.
func sendMessages(fd uintptr, m []message) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// ioctlPointer is ioctl(2) on a structure.
func ioctlPointer[T any](fd int, request uint, arg *T) error {
	if _, _, errno := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request),
		uintptr(unsafe.Pointer(arg))); errno != 0 {
		return errno
	}
	return nil
}
