// SPDX-License-Identifier: MIT

package fastpath

import (
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// testRun is of union bpf_attr what BPF_PROG_TEST_RUN takes, in linux/bpf.h.
type testRun struct {
	program, _       uint32
	dataSize, _      uint32
	data, _          uint64
	repeat, _        uint32
	contextSize, _   uint32
	context, _       uint64
	flags, processor uint32
}

const bpfTestRun = 10 // BPF_PROG_TEST_RUN

// leastFrame is what a test run wants a frame to have.
var leastFrame [60]byte

// runBriefly runs a program once on an empty frame, and returns whether it ran. It is for one that takes some
// microseconds and is run many times a second: it allocates nothing, and the runtime is not told of the system call,
// since it would wake its monitor.
func runBriefly(p *ebpf.Program) bool {
	attr := testRun{program: uint32(p.FD()), dataSize: uint32(len(leastFrame)),
		data: uint64(uintptr(unsafe.Pointer(&leastFrame))), repeat: 1}
	for range 3 {
		_, _, e := unix.RawSyscall(unix.SYS_BPF, bpfTestRun, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		if e != unix.EINTR {
			return e == 0
		}
	}
	return false
}
