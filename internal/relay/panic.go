package relay

import (
	"bytes"
	"fmt"
	"runtime/debug"
)

// Panic is what is kept of the last frame whose handling panicked, for a report.
type Panic struct {
	Value string
	Stack string
	Frame []byte // virtio header in front, nil when it was no single frame's
}

// LastPanic returns the last panic, nil if there was none.
func (r *Relay) LastPanic() *Panic { return r.lastPanic.Load() }

// panicked counts and keeps a recovered panic. Only the first is logged: a frame that does this once
// comes by the thousand.
func (r *Relay) panicked(value any, b []byte) {
	p := &Panic{Value: fmt.Sprint(value), Stack: string(debug.Stack()), Frame: bytes.Clone(b)}
	r.lastPanic.Store(p)
	if r.panics.Add(1) == 1 {
		r.log.Error("frame dropped: its handling panicked", "err", p.Value, "stack", p.Stack)
	}
}
