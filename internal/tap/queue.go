// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nicteam/internal/epoll"
	"nicteam/internal/frame"
)

// MaxFrame is the longest super-frame: 64 KiB of IP, Ethernet header, two tags.
const MaxFrame = 65535 + 14 + 8

// Queue is a queue of the adapter. One goroutine reads; any number write.
type Queue struct {
	file   *os.File
	waiter *epoll.Waiter
	fd     int // file's, valid until close; the adapter's owner ends all users before
}

// openQueue attaches a queue with virtio headers to an existing multi-queue device.
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
	// The first queue decides on the header: with a queue of another process attached the kernel ignores the flag.
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, req); err != nil {
		return nil, fmt.Errorf("read the queue's flags: %w", err)
	}
	if req.Uint16()&unix.IFF_VNET_HDR == 0 {
		return nil, fmt.Errorf("attach a queue with virtio header: %w", ErrBusy)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, frame.VnetLen); err != nil {
		return nil, fmt.Errorf("set the virtio header's length: %w", err)
	}
	return newQueue(fd)
}

// newQueue makes fd a Queue. On an error the caller closes fd.
func newQueue(fd int) (*Queue, error) {
	w, err := epoll.NewWaiter(fd)
	if err != nil {
		return nil, err
	}
	f, err := epoll.File(fd, "/dev/net/tun")
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	return &Queue{file: f, waiter: w, fd: fd}, nil
}

// Wait waits until there is a frame to read, or an error. It returns false if Wake ended it.
func (q *Queue) Wait() bool { return q.waiter.Wait() }

// Wake ends Wait, and each one that follows until ClearWake.
func (q *Queue) Wake() error { return q.waiter.Wake() }

// ClearWake ends the effect of Wake. After an error Wait goes on returning false.
func (q *Queue) ClearWake() error { return q.waiter.ClearWake() }

// The device's header is longer than struct virtio_net_hdr and begins with it (frame.VnetLen). The kernel reads what
// follows that only for super-frames of tunnels.

// Write passes one received [virtio header][frame] to the kernel. It does not block, allocate or lock, and overwrites
// the header's room. EIO: the adapter is administratively down.
func (q *Queue) Write(b []byte) (int, error) {
	copy(b[:frame.VnetLen-frame.VnetRoom], b[frame.VnetRoom:frame.VnetLen])
	return unix.Write(q.fd, b)
}

// WriteTunnel is Write of a tunnel's super-frame with a header of frame.Vnet.MarshalTunnel. The Offloads must have
// Tunnel.
func (q *Queue) WriteTunnel(b []byte) (int, error) { return unix.Write(q.fd, b) }

// Read reads one [virtio header][frame] without waiting. EAGAIN: there is none.
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
