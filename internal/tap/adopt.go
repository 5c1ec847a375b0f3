// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/frame"
)

// ErrGone is returned by Adopt if the device was deleted, or left the network namespace.
var ErrGone = errors.New("the device is gone")

// Adopt goes on with the queue that the process before this one left: what waits in it is read next. The device stays
// as it is, with its carrier, whatever its name is by then; of o only Store is used. ErrForeign: the descriptor is not
// a queue as Open attaches it, for example because its frames have no virtio header. Adopt owns fd, and on an error
// closes it.
func Adopt(fd int, o Options) (*Adapter, error) {
	a, err := adopt(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("adopt adapter: %w", err)
	}
	a.store = descriptors.Or(o.Store) // which keeps the queue already
	return a, nil
}

func adopt(fd int) (*Adapter, error) {
	unix.CloseOnExec(fd)
	name, err := deviceOf(fd)
	if err != nil {
		return nil, err
	}
	l, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	if t, ok := l.(*netlink.Tuntap); !ok || t.Mode != netlink.TUNTAP_MODE_TAP {
		return nil, ErrGone // a device of the same name in another namespace
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, frame.VnetLen); err != nil {
		return nil, fmt.Errorf("set the virtio header's length: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	offloads, err := (&Queue{fd: fd}).setOffloads()
	if err != nil {
		return nil, err
	}
	q, err := newQueue(fd)
	if err != nil {
		return nil, err
	}
	return &Adapter{name: name, index: l.Attrs().Index, mac: frame.MACFrom(net.HardwareAddr(l.Attrs().HardwareAddr)),
		settled: true, offloads: offloads, queues: []*Queue{q}}, nil
}

// deviceOf returns the present name of the device of a queue. The kernel finds no name for a device that is gone.
func deviceOf(fd int) (string, error) {
	req := new(unix.Ifreq)
	switch err := unix.IoctlIfreq(fd, unix.TUNGETIFF, req); {
	case errors.Is(err, unix.EBADFD):
		return "", ErrGone
	case err != nil:
		return "", fmt.Errorf("%w: read the queue's flags: %w", ErrForeign, err)
	}
	const want = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_MULTI_QUEUE | unix.IFF_VNET_HDR
	if got := req.Uint16(); got&want != want {
		return "", fmt.Errorf("%w: its flags are %#x", ErrForeign, got)
	}
	here, err := sameNamespace(fd)
	if err == nil && !here {
		err = ErrGone
	}
	return req.Name(), err
}

// sameNamespace reports whether the device of a queue is in the network namespace of the calling thread; kernels before
// 5.2 do not tell.
func sameNamespace(queue int) (bool, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(queue), unix.TUNGETDEVNETNS, 0)
	if errno == unix.EINVAL || errno == unix.ENOTTY {
		return true, nil
	}
	if errno != 0 {
		return false, fmt.Errorf("get the device's network namespace: %w", errno)
	}
	defer unix.Close(int(fd))
	here, err := openNamespace()
	if err != nil {
		return false, err
	}
	defer unix.Close(here)
	var a, b unix.Stat_t
	if err := errors.Join(unix.Fstat(int(fd), &a), unix.Fstat(here, &b)); err != nil {
		return false, err
	}
	return a.Ino == b.Ino && a.Dev == b.Dev, nil
}
