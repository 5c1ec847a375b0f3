package tap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nicteam/internal/epoll"
	"nicteam/internal/frame"
)

// MaxFrame is the longest frame that a super-frame can be: 64 KiB of IP, Ethernet header, two tags.
const MaxFrame = 65535 + 14 + 8

// Queue is a queue of the adapter. One goroutine reads; any number write.
type Queue struct {
	file   *os.File
	waiter *epoll.Waiter
	fd     int // file's; valid until close, which its users' owner orders after their end
}

// openQueue attaches a queue with the virtio header to the existing multi-queue device name.
func openQueue(name string, flags uint16) (q *Queue, err error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE | unix.IFF_VNET_HDR | flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, fmt.Errorf("attach a queue: %w", err)
	}
	// The first queue decides on the header; with somebody else's queue attached the flag is ignored without an error.
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, req); err != nil {
		return nil, fmt.Errorf("read the queue's flags: %w", err)
	}
	if req.Uint16()&unix.IFF_VNET_HDR == 0 {
		return nil, fmt.Errorf("attach a queue with virtio header: %w", ErrBusy)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, frame.VnetLen); err != nil {
		return nil, fmt.Errorf("set the virtio header's length: %w", err)
	}
	f, err := epoll.File(fd, "/dev/net/tun")
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	w, err := epoll.NewWaiter(fd)
	if err != nil {
		return nil, err
	}
	return &Queue{file: f, waiter: w, fd: fd}, nil
}

// Wait waits until there is a frame to read, or an error. It returns false when Wake ended it.
func (q *Queue) Wait() bool { return q.waiter.Wait() }

// Wake ends Wait, now and until Rest.
func (q *Queue) Wake() error { return q.waiter.Wake() }

// ClearWake takes Wake back. On an error Wait will go on to return false.
func (q *Queue) ClearWake() error { return q.waiter.ClearWake() }

// The device's header is longer than struct virtio_net_hdr and begins with it: see frame.VnetLen. The kernel reads what
// follows that in super-frames of tunnels only.

// Write hands the kernel one [virtio header][frame] as received. It neither blocks nor allocates, and
// takes no lock; it uses the header's room. EIO says that the adapter is administratively down.
func (q *Queue) Write(b []byte) (int, error) {
	copy(b[:frame.VnetLen-frame.VnetRoom], b[frame.VnetRoom:frame.VnetLen])
	return unix.Write(q.fd, b)
}

// WriteTunnel is Write of the super-frame of a tunnel, whose header frame.Vnet.MarshalTunnel made. It is for Offloads
// that have Tunnel.
func (q *Queue) WriteTunnel(b []byte) (int, error) { return unix.Write(q.fd, b) }

// Read reads one [virtio header][frame] without waiting: EAGAIN when there is none.
func (q *Queue) Read(b []byte) (int, error) {
	n, err := unix.Read(q.fd, b)
	if err == nil {
		copy(b[frame.VnetRoom:frame.VnetLen], b[:frame.VnetLen-frame.VnetRoom])
	}
	return n, err
}

func (q *Queue) close() error {
	if err := errors.Join(q.waiter.Close(), q.file.Close()); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
