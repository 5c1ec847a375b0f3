// Package readable waits until a descriptor can be read, without the runtime's poller.
//
// The poller has a descriptor in an edge-triggered epoll set for reading and writing for as long as it is
// open. Each frame that a TAP or a packet socket takes in, and each that has left a packet socket, then
// wakes the thread that stands in epoll_wait, also while the goroutine that reads is busy and will find the
// frame by itself: two switches of context a small frame, on processors that the frames need. A thread in
// poll(2) is in the descriptor's wait queue only while there is nothing to do.
package readable
