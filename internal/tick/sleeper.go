// SPDX-License-Identifier: MIT

package tick

import (
	"sync"
	"time"
)

// Sleeper lets one goroutine sleep until a time that others may change meanwhile.
type Sleeper interface {
	// Set has Wait return after d, and not before. Any goroutine may call it, one at a time.
	Set(d time.Duration)
	// Wait returns true once the time of Set has come, which it then forgets, and false after Close.
	Wait() bool
	// Close ends Wait for good. Any goroutine may call it, and twice.
	Close() error
}

// Timer is a Sleeper by a timer of the runtime.
type Timer struct {
	timer  *time.Timer
	closed chan struct{}
	close  func()
}

// NewTimer returns a Timer.
func NewTimer() *Timer {
	t := &Timer{timer: time.NewTimer(time.Hour), closed: make(chan struct{})}
	t.timer.Stop()
	t.close = sync.OnceFunc(func() { close(t.closed) })
	return t
}

// Set implements Sleeper.
func (t *Timer) Set(d time.Duration) { t.timer.Reset(d) }

// Wait implements Sleeper.
func (t *Timer) Wait() bool {
	select {
	case <-t.closed:
		return false
	default:
	}
	select {
	case <-t.closed:
		return false
	case <-t.timer.C:
		return true
	}
}

// Close implements Sleeper.
func (t *Timer) Close() error {
	t.close()
	t.timer.Stop()
	return nil
}
