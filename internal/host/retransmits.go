// SPDX-License-Identifier: MIT

package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
)

// Retransmits reads how many TCP segments the stack of a namespace has sent again. A file that stays open makes a
// reading cheap: it is read every few milliseconds.
type Retransmits struct {
	mu   sync.Mutex
	file *os.File
	buf  [4096]byte
}

// OpenRetransmits opens the counters of the calling thread's namespace.
func OpenRetransmits() (*Retransmits, error) {
	f, err := os.Open("/proc/thread-self/net/snmp")
	if err != nil {
		return nil, fmt.Errorf("open TCP counters: %w", err)
	}
	return &Retransmits{file: f}, nil
}

// Read returns the total of both families, 0 when it cannot be read.
func (r *Retransmits) Read() uint64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.file.ReadAt(r.buf[:], 0)
	if n == 0 && err != nil {
		return 0
	}
	v, _ := retransSegs(r.buf[:n])
	return v
}

// Close closes the counters.
func (r *Retransmits) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Close()
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
