// SPDX-License-Identifier: MIT

package panics

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/api"
)

const (
	// fatalCount panics of one kind within fatalSpan end the process.
	fatalCount = 3
	fatalSpan  = 10 * time.Second
	// frameKept is how much of a frame is kept: its headers, not the payload.
	frameKept = 54
)

// Keeper records the panics of a process. Its methods may be called from any goroutine.
type Keeper struct {
	log    *slog.Logger
	fatal  chan error
	failed atomic.Bool // fatal was told

	mu      sync.Mutex
	kinds   []*kind // in the order of their first panics
	onPanic func(api.Panic)
}

// kind is the entry of all panics of one Where.
type kind struct {
	api.Panic
	last [fatalCount]time.Time // latest first
}

// New returns a Keeper without panics. A nil log is silent.
func New(log *slog.Logger) *Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{log: log, fatal: make(chan error, 1)}
}

// OnPanic sets the function that is called with each panic that deserves an event. It must not block.
func (k *Keeper) OnPanic(f func(api.Panic)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.onPanic = f
}

// Fatal delivers the error with which the process has to end.
func (k *Keeper) Fatal() <-chan error { return k.fatal }

// List returns the kinds of panics, each with its last one.
func (k *Keeper) List() []api.Panic {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []api.Panic
	for _, p := range k.kinds {
		list = append(list, p.Panic)
	}
	return list
}

// Do runs f, recovers its panic, and reports whether f returned.
func (k *Keeper) Do(where string, f func()) (ended bool) {
	defer func() {
		if !ended {
			k.Caught(where, "", recover())
		}
	}()
	f()
	return true
}

// Restart runs f until it returns, again after each panic, unless ctx has ended or a panic was fatal.
func (k *Keeper) Restart(ctx context.Context, where string, f func()) {
	for !k.Do(where, f) && ctx.Err() == nil && !k.Failed() {
	}
}

// Failed reports whether a panic was fatal: whatever goes on panicking until the process ends must do so slowly.
func (k *Keeper) Failed() bool { return k.failed.Load() }

// Caught records a panic that the caller recovered, and makes the third of its kind within fatalSpan fatal.
func (k *Keeper) Caught(where, input string, value any) {
	p := k.record(where, input, value)
	if k.Failed() {
		return
	}
	k.report(p.Panic)
	if first := p.last[fatalCount-1]; first.IsZero() || p.Time.Sub(first) > fatalSpan {
		return
	}
	err := fmt.Errorf("%d panics within %v, the last one in the %s", fatalCount, fatalSpan, p.String())
	if k.failed.CompareAndSwap(false, true) {
		k.fatal <- err
	}
}

// UntrustedInput records a recovered panic over input from outside, which is dropped. Its sender may repeat it: only
// the first is reported, and none is fatal.
func (k *Keeper) UntrustedInput(where, input string, value any) {
	if p := k.record(where, input, value); p.Count == 1 {
		k.report(p.Panic)
	}
}

// Frame is UntrustedInput for a frame of the data path.
func (k *Keeper) Frame(value any, b []byte) {
	k.UntrustedInput("data path", fmt.Sprintf("frame of %d octets: %s", len(b),
		hex.EncodeToString(b[:min(len(b), frameKept)])), value)
}

// record counts a panic and returns a copy of its kind.
func (k *Keeper) record(where, input string, value any) kind {
	if value == nil {
		value = errors.New("the goroutine was ended")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.IndexFunc(k.kinds, func(p *kind) bool { return p.Where == where })
	if i < 0 {
		i = len(k.kinds)
		k.kinds = append(k.kinds, &kind{Panic: api.Panic{Where: where}})
	}
	p := k.kinds[i]
	p.Count++
	p.Time, p.Input, p.Value, p.Stack = time.Now(), input, fmt.Sprint(value), stack()
	copy(p.last[1:], p.last[:])
	p.last[0] = p.Time
	return *p
}

func (k *Keeper) report(p api.Panic) {
	k.log.Error("caught a panic", "where", p.Where, "input", p.Input, "err", p.Value, "count", p.Count, "stack",
		p.Stack)
	k.mu.Lock()
	tell := k.onPanic
	k.mu.Unlock()
	if tell != nil {
		tell(p)
	}
}

// stack returns the stack of the panic, without the frames that recover it.
func stack() string {
	s := string(debug.Stack())
	if i := strings.Index(s, "\npanic("); i >= 0 {
		return s[i+1:]
	}
	return s
}
