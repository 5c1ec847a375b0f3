// Package epoll waits until a descriptor can be read without being woken while nobody waits.
//
// The runtime's poller has a descriptor in an edge-triggered epoll set for reading and writing for as long as it
// is open. Each frame that a TAP or a packet socket takes in, and each that has left a packet socket, then
// wakes the thread that stands in epoll_wait, also while the goroutine that reads is busy and will find the
// frame by itself: two switches of context a small frame, on processors that the frames need.
//
// A Waiter puts an epoll set of its own in between. The poller has that set; the set has the descriptor, for
// reading only, and armed only while somebody waits.
package epoll
