// SPDX-License-Identifier: MIT

package tick

import (
	"sync"
	"time"
)

// Sleeper lets one goroutine sleep again and again.
type Sleeper interface {
	// Sleep returns true after d, and false after Close.
	Sleep(d time.Duration) bool
	// Close ends Sleep for good. Any goroutine may call it, and twice.
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
	t.close = sync.OnceFunc(func() { close(t.closed) })
	return t
}

// Sleep implements Sleeper.
func (t *Timer) Sleep(d time.Duration) bool {
	t.timer.Reset(d)
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
