// SPDX-License-Identifier: MIT

package team

import "sync"

// mailbox passes the latest value to one goroutine; a newer one replaces it. So the control loop never waits for what
// takes long.
type mailbox[T any] struct {
	wake chan struct{}
	mu   sync.Mutex
	v    T
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{wake: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(v T) {
	m.mu.Lock()
	m.v = v
	m.mu.Unlock()
	m.signal()
}

func (m *mailbox[T]) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns the latest value; wake signals a new one.
func (m *mailbox[T]) take() T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.v
}
