// SPDX-License-Identifier: MIT

// Package epoll waits until a descriptor is readable, and wakes no thread while nobody waits.
//
// The runtime's poller watches an open descriptor edge-triggered, for reading and for writing. Each frame that enters a
// TAP or a packet socket, and each that leaves a packet socket, then wakes the thread in epoll_wait, even while the
// reading goroutine is busy and finds the frame by itself: two context switches for a small frame, on processors that
// the frames need.
//
// A Waiter has an epoll set of its own. The poller watches the set; the set watches the descriptor for reading only,
// and is armed only while a goroutine waits.
package epoll
