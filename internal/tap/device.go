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

// udev on a systemd host gives every new device whose address the kernel made up (addr_assign_type NET_ADDR_RANDOM) a
// persistent one of its own, at some time after the device was announced (MACAddressPolicy in 99-default.link, in
// systemd's src/udev/net/link-config.c), and tun can only announce a device first and be given its address then. So
// the device is made in a network namespace where nobody sees it, and comes into ours with an address that somebody
// has set: that one udev leaves alone. Like a device that is new here, it has then met no setting but this namespace's
// defaults.

// errNoNamespace says that a device cannot be made out of sight.
var errNoNamespace = errors.New("no network namespace of its own")

// makeDevice makes the persistent multi-queue device of o, down and without a queue. settled is false where the process
// may make no network namespace: udev has then seen the device with a random address, and may yet give it another.
func makeDevice(o Options) (settled bool, err error) {
	ours, err := openNamespace()
	if err != nil {
		return false, err
	}
	defer unix.Close(ours)
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		// A thread that cannot go back stays locked and ends with the goroutine. The main one never ends.
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

// makeInNewNamespace makes the device in a new network namespace of the calling thread and moves it into another.
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
		return fmt.Errorf("move it into the namespace of the team: %w", err)
	}
	return nil
}

// makeHere makes the device in the namespace of the calling thread and gives it its address. Nothing is left of it on
// error.
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

// setMAC gives a link an address, or says that the one it has, where mac is 0, is as it is to be.
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
