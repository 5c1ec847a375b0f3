// SPDX-License-Identifier: MIT

package tap

import (
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/songgao/water"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// udev on a systemd host replaces a random address of a new device (addr_assign_type NET_ADDR_RANDOM) by a persistent
// one, some time after the kernel announced the device (MACAddressPolicy in 99-default.link, systemd's
// src/udev/net/link-config.c). tun announces a device before its address can be set. So the device is created in a
// network namespace of its own and moved into the team's with an address that is set, which udev leaves alone. It then
// has the default settings of the team's namespace, as a new device has.

// Make makes the device for a later Open, with a MAC that udev leaves alone, and returns its ifindex. Another process
// may then open it that has not the right to make a network namespace.
func Make(name string) (index int, err error) {
	if err := checkName(name); err != nil {
		return 0, fmt.Errorf("make adapter: %w", err)
	}
	if _, err := netlink.LinkByName(name); err == nil {
		return 0, fmt.Errorf("make adapter %s: %w", name, ErrExists)
	}
	if _, err := makeDevice(Options{Name: name}); err != nil {
		if errors.Is(err, unix.EEXIST) {
			err = ErrExists
		}
		return 0, fmt.Errorf("make adapter %s: %w", name, err)
	}
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("make adapter %s: %w", name, err)
	}
	return l.Attrs().Index, nil
}

// Remove removes the device that Make made. Another one of that name stays.
func Remove(name string, index int) error {
	l, err := netlink.LinkByIndex(index)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err == nil && (l.Attrs().Name != name || l.Type() != "tuntap") {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

// errNoNamespace says that the process may not create a network namespace.
var errNoNamespace = errors.New("no network namespace of its own")

// makeDevice creates the persistent multi-queue device of o, down and without a queue. settled is false if the process
// may not create a network namespace: udev has seen the device with a random address and may still replace it.
func makeDevice(o Options) (settled bool, err error) {
	ours, err := openNamespace()
	if err != nil {
		return false, err
	}
	defer unix.Close(ours)
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		// A thread that cannot return to its namespace stays locked and ends with the goroutine. The main thread never
		// ends.
		own, err := openNamespace()
		if err == nil {
			err = makeInNewNamespace(o, ours)
			if unix.Setns(own, unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
			unix.Close(own)
		}
		made <- err
	}()
	err = <-made
	if errors.Is(err, errNoNamespace) {
		return false, makeHere(o)
	}
	return err == nil, err
}

// openNamespace opens the network namespace of the calling thread.
func openNamespace() (fd int, err error) {
	if fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("open network namespace: %w", err)
	}
	return fd, nil
}

// makeInNewNamespace creates the device in a new network namespace of the calling thread and moves it into another.
func makeInNewNamespace(o Options, into int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%w: %w", errNoNamespace, err)
	}
	if err := makeHere(o); err != nil {
		return err
	}
	l, err := netlink.LinkByName(o.Name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetNsFd(l, into); err != nil {
		return fmt.Errorf("move into the team's namespace: %w", err)
	}
	return nil
}

// makeHere creates the device in the namespace of the calling thread and sets its address. On error it removes it.
func makeHere(o Options) error {
	w, err := water.New(water.Config{
		DeviceType: water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name:       o.Name,
			MultiQueue: true,
			Persist:    true,
			// Without an owner any local user could attach a queue.
			Permissions: &water.DevicePermissions{Owner: 0, Group: 0},
		},
	})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return errors.Join(fmt.Errorf("close the first queue: %w", err), removeDevice(o.Name))
	}
	l, err := netlink.LinkByName(o.Name)
	if err != nil {
		return err
	}
	if err := setMAC(l, o.MAC); err != nil {
		return errors.Join(err, removeDevice(o.Name))
	}
	return nil
}

// setMAC sets a link's address. 0 sets the one it has, which the kernel then regards as set (NET_ADDR_SET).
func setMAC(l netlink.Link, mac frame.MAC) error {
	if mac == 0 {
		mac = frame.MACFrom(net.HardwareAddr(l.Attrs().HardwareAddr))
	}
	if err := netlink.LinkSetHardwareAddr(l, mac.HardwareAddr()); err != nil {
		return fmt.Errorf("set MAC %v: %w", mac, err)
	}
	return nil
}

func removeDevice(name string) error {
	l, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}
