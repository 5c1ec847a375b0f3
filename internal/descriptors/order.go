// SPDX-License-Identifier: MIT

package descriptors

import (
	"strings"

	"golang.org/x/sys/unix"
)

// ClosedFirst is the least number of the descriptors that go first when the process is killed. The kernel closes from
// the highest number to the lowest (__fput_deferred and task_work_run: the last one queued runs first), and at each
// packet socket and tcx link it waits some milliseconds for all CPUs. The programs in the kernel move frames until
// their links and the adapter's queue are closed, which have low numbers.
const ClosedFirst = 600

// ClosesFirst reports whether what is stored under a name goes first: sockets, and the isolation, which sees only what
// the programs leave.
func ClosesFirst(name string) bool {
	kind, _, _ := strings.Cut(name, "-")
	return kind == Socket || kind == Groups || kind == Isolation
}

// CloseFirst returns a duplicate of fd that makes the kernel close the file early; -1 if there is no such number
// (RLIMIT_NOFILE). A file is closed with its last descriptor, so the duplicate has to be closed, too.
func CloseFirst(fd int) int {
	early, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, ClosedFirst)
	if err != nil {
		return -1
	}
	return early
}
