// SPDX-License-Identifier: MIT

package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Udev does to new devices of a host what systemd-udevd does under MACAddressPolicy=persistent: it replaces a random
// address (addr_assign_type NET_ADDR_RANDOM). Like udevd it reads the device when that is announced, and acts later,
// whatever has happened to the device since.
type Udev struct {
	h     *Host
	delay time.Duration
	seen  map[int32]bool // ifindex

	ended chan struct{}
	done  chan error

	mu   sync.Mutex
	gave []Assignment
}

// Assignment is an address that a Udev assigned to a device.
type Assignment struct {
	Name string
	MAC  net.HardwareAddr
}

// NET_ADDR_RANDOM of linux/netdevice.h, as sysfs shows it.
var addressIsRandom = []byte("1\n")

// udevPoll is how often a Udev without events checks whether it was closed.
const udevPoll = 50 * time.Millisecond

// NewUdev starts a Udev that acts delay after it has read a device. It ignores devices that exist already.
func NewUdev(h *Host, delay time.Duration) (*Udev, error) {
	u := &Udev{h: h, delay: delay, seen: map[int32]bool{}, ended: make(chan struct{}), done: make(chan error, 1)}
	ready := make(chan error)
	go func() {
		// Never unlocked: the thread is in the host's mount namespace.
		runtime.LockOSThread()
		fd, err := u.subscribe()
		ready <- err
		if err == nil {
			defer unix.Close(fd)
			u.done <- u.run(fd)
		}
	}()
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("start udev in %s: %w", h.Name, err)
	}
	return u, nil
}

// Assigned returns the assignments so far.
func (u *Udev) Assigned() []Assignment {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]Assignment(nil), u.gave...)
}

// Close ends it.
func (u *Udev) Close() error {
	close(u.ended)
	return <-u.done
}

// subscribe moves the calling thread into the host for good and subscribes to its links.
func (u *Udev) subscribe() (fd int, err error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return -1, fmt.Errorf("unshare: %w", err)
	}
	if err := errors.Join(unix.Setns(u.h.net, unix.CLONE_NEWNET), unix.Setns(u.h.mnt, unix.CLONE_NEWNS)); err != nil {
		return -1, fmt.Errorf("enter: %w", err)
	}
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	look := unix.NsecToTimeval(udevPoll.Nanoseconds())
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &look),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}))
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	list, err := u.h.handle.LinkList()
	for _, l := range list {
		u.seen[int32(l.Attrs().Index)] = true
	}
	return fd, err
}

func (u *Udev) run(fd int) error {
	buf := make([]byte, 1<<16)
	for {
		select {
		case <-u.ended:
			return nil
		default:
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EAGAIN || err == unix.EINTR || err == unix.ENOBUFS {
			continue
		}
		if err != nil {
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return err
		}
		for i := range messages {
			if err := u.handleLink(&messages[i]); err != nil {
				return err
			}
		}
	}
}

// handleLink handles a message about a link.
func (u *Udev) handleLink(m *syscall.NetlinkMessage) error {
	index := int32(binary.NativeEndian.Uint32(m.Data[4:]))
	if m.Header.Type == unix.RTM_DELLINK {
		delete(u.seen, index)
		return nil
	}
	if m.Header.Type != unix.RTM_NEWLINK || u.seen[index] {
		return nil
	}
	u.seen[index] = true
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return err
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_IFNAME {
			return u.assign(int(index), string(bytes.TrimRight(a.Value, "\x00")))
		}
	}
	return nil
}

func (u *Udev) assign(index int, name string) error {
	kind, err := os.ReadFile("/sys/class/net/" + name + "/addr_assign_type")
	if err != nil || !bytes.Equal(kind, addressIsRandom) {
		return nil // gone, renamed, or its address was set
	}
	select {
	case <-time.After(u.delay):
	case <-u.ended:
		return nil
	}
	l, err := u.h.handle.LinkByIndex(index)
	if err != nil {
		return nil
	}
	mac := net.HardwareAddr{0x06, 0xdd, byte(index >> 24), byte(index >> 16), byte(index >> 8), byte(index)}
	if err := u.h.handle.LinkSetHardwareAddr(l, mac); err != nil {
		if errors.Is(err, unix.ENODEV) || errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		return fmt.Errorf("give %s %v: %w", name, mac, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gave = append(u.gave, Assignment{name, mac})
	return nil
}
