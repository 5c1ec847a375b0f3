package host

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/monitor"
)

var _ monitor.Source = (*Host)(nil)

// eventBuffer holds the link events of a machine that stands still for a moment. An overflow
// loses nothing: it is an event too.
const eventBuffer = 1 << 20

// reopenGap is how long Changes waits before it subscribes again.
const reopenGap = 100 * time.Millisecond

// Carrier reports whether the NIC is up and has carrier, as the driver says it at this moment.
func (h *Host) Carrier(index int) bool { return h.probe.carrier(index) }

// Link reads everything about a NIC.
func (h *Host) Link(index int) monitor.Link {
	l, err := h.nl.LinkByIndex(index)
	if err != nil {
		return monitor.Link{}
	}
	a := l.Attrs()
	out := monitor.Link{Exists: true, AdminUp: a.RawFlags&unix.IFF_UP != 0, Carrier: h.probe.carrier(index)}
	out.SpeedBps, out.Duplex = h.speed(a.Name)
	return out
}

// Changes subscribes to link events until ctx ends. The subscription is made before Changes returns, in the
// namespace of the calling thread.
func (h *Host) Changes(ctx context.Context) <-chan struct{} {
	return changes(ctx, []uint{unix.RTNLGRP_LINK}, func(ctx context.Context, f *os.File, signal func()) {
		h.probe.forget()
		h.probe.listeners.Add(1)
		defer func() {
			h.probe.listeners.Add(-1)
			h.probe.forget()
		}()
		readEvents(ctx, f, func() { h.probe.forget(); signal() })
	})
}

// changes subscribes to groups of rtnetlink events until ctx ends. listen calls signal for every event, until the socket
// breaks; then there is a new one, and a signal for what was missed.
func changes(ctx context.Context, groups []uint, listen func(ctx context.Context, f *os.File, signal func())) <-chan struct{} {
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default: // one is waiting already, and it stands for this one too
		}
	}
	first, err := subscribe(groups)
	go func() {
		for f := first; ctx.Err() == nil; f, err = subscribe(groups) {
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

// subscribe opens a socket that receives events of these groups, as far as the kernel has them.
func subscribe(groups []uint) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
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
	return os.NewFile(uintptr(fd), "rtnetlink events"), nil
}

func join(fd int, group uint) error {
	err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(group))
	if errors.Is(err, unix.EINVAL) {
		return nil // an older kernel
	}
	return err
}

// readEvents signals every event until ctx ends or the socket breaks. The events' content is not
// looked at: whoever is told reads the state as it is then.
func readEvents(ctx context.Context, f *os.File, signal func()) {
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer func() {
		stop()
		f.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		_, err := f.Read(buf)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		signal()
	}
}
