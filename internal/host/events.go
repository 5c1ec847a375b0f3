package host

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's events: subscriptions, and the messages that come by them.

// eventBuffer holds the link events of a machine that stands still for a moment. An overflow
// loses nothing: it is an event too.
const eventBuffer = 1 << 20

// reopenGap is how long Changes waits before it subscribes again.
const reopenGap = 100 * time.Millisecond

// eventsAtOnce is how much is read in one call.
const eventsAtOnce = 64 << 10

// changes subscribes to groups of rtnetlink events until ctx ends. listen calls signal for every event, until the socket
// breaks; then there is a new one, and a signal for what was missed.
func changes(ctx context.Context, groups []uint, listen func(ctx context.Context, f *os.File, signal func())) <-chan struct{} {
	changed := make(chan struct{}, 1)
	signal := func() { wake(changed) }
	first, err := subscribe(unix.NETLINK_ROUTE, groups...)
	go func() {
		for f := first; ctx.Err() == nil; f, err = subscribe(unix.NETLINK_ROUTE, groups...) {
			if err == nil {
				listen(ctx, f, signal)
			}
			signal()
			select {
			case <-ctx.Done():
			case <-time.After(reopenGap):
			}
		}
	}()
	return changed
}

// wake sends a signal, unless one is waiting already, which then stands for this one too.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// subscribe opens a netlink socket (NETLINK_ROUTE, …) that receives events of these groups, as far as the kernel has them.
func subscribe(protocol int, groups ...uint) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventBuffer)
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, g := range groups {
		if err == nil {
			err = join(fd, g)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink events"), nil
}

func join(fd int, group uint) error {
	err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(group))
	if errors.Is(err, unix.EINVAL) {
		return nil // an older kernel
	}
	return err
}

// eachEvent calls got with the messages of each reading until ctx ends or the socket breaks; nil stands for those that were lost.
func eachEvent(ctx context.Context, f *os.File, got func(b []byte)) {
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer func() {
		stop()
		f.Close()
	}()
	buf := make([]byte, eventsAtOnce)
	for {
		n, err := f.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			got(nil)
		case err != nil:
			return
		default:
			got(buf[:n])
		}
	}
}

// message is one netlink message. body is borrowed.
type message struct {
	kind  uint16
	flags uint16
	body  []byte
}

// Offsets in a message: nlmsghdr, then the header of its kind.
const (
	headerLen = 16 // struct nlmsghdr
	atFamily  = headerLen
)

// eachMessage calls f for every whole message in b. What does not add up ends it.
func eachMessage(b []byte, f func(message)) {
	for len(b) >= headerLen {
		n := int(binary.NativeEndian.Uint32(b))
		if n < headerLen || n > len(b) {
			return
		}
		f(message{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), b[headerLen:n:n]})
		b = b[min(align(n), len(b)):]
	}
}

// anyMessage reports whether is holds for one of the messages in b. Of messages that were lost, nil, it is said.
func anyMessage(b []byte, is func(message) bool) bool {
	if b == nil {
		return true
	}
	found := false
	eachMessage(b, func(m message) { found = found || is(m) })
	return found
}
