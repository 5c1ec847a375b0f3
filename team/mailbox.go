package team

import "sync"

// mailbox hands the latest value to one goroutine; a value that was not taken is replaced. It is
// how the control loop passes on what may take long without ever waiting.
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

// take returns the latest value; wake says that there is a new one.
func (m *mailbox[T]) take() T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.v
}
