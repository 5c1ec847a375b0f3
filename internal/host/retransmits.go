// SPDX-License-Identifier: MIT

package host

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tcpCounters are the counters of a namespace's TCP. A file that stays open makes a reading cheap: it is read every few
// milliseconds.
type tcpCounters struct {
	mu  sync.Mutex
	fd  int // -1: closed
	buf [4096]byte
}

// openTCPCounters opens the counters of the calling thread's namespace.
func openTCPCounters() (*tcpCounters, error) {
	fd, err := unix.Open("/proc/thread-self/net/snmp", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open TCP counters: %w", err)
	}
	return &tcpCounters{fd: fd}, nil
}

// Retransmits returns how many TCP segments the stack has sent again, 0 when that is not known.
func (h *Host) Retransmits() uint64 {
	t := h.tcp
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// The file ends before the buffer. Reading it waits for nothing: the runtime, which would wake its monitor, is not
	// told of the system call.
	n, _, e := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(t.fd), uintptr(unsafe.Pointer(&t.buf)), uintptr(len(t.buf)),
		0, 0, 0)
	if e != 0 {
		return 0
	}
	v, _ := retransSegs(t.buf[:n])
	return v
}

func (t *tcpCounters) close() {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		_ = unix.Close(t.fd)
		t.fd = -1
	}
}

var errNoCounter = errors.New("no such counter")

// retransSegs finds Tcp RetransSegs: a line of names, then a line of values (RFC 4022 tcpRetransSegs).
func retransSegs(b []byte) (uint64, error) {
	var names []byte
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(line, []byte("Tcp:")) {
			continue
		}
		if names == nil {
			names = line
			continue
		}
		for values := line; ; {
			var name, value []byte
			if name, names = field(names); name == nil {
				return 0, errNoCounter
			}
			if value, values = field(values); value == nil {
				return 0, errNoCounter
			}
			if string(name) == "RetransSegs" {
				return strconv.ParseUint(string(value), 10, 64)
			}
		}
	}
	return 0, errNoCounter
}

// field cuts the first field off; nil: there is none.
func field(b []byte) (first, rest []byte) {
	b = bytes.TrimLeft(b, " ")
	if i := bytes.IndexAny(b, " \n"); i > 0 {
		return b[:i], b[i:]
	}
	return nil, nil
}
