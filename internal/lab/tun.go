package lab

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// vnetHeader is the size of the virtio header before each frame of our TAPs.
const vnetHeader = 10

// openTAP makes a single-queue TAP in the host that lives as long as the file.
func openTAP(h *Host, name string, offload bool) (*os.File, error) {
	var f *os.File
	err := h.Do(func() error {
		// The device belongs to the namespace in which the file was opened.
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		if err := setTAP(fd, name, offload); err != nil {
			unix.Close(fd)
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	return f, err
}

func setTAP(fd int, name string, offload bool) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_TUN_EXCL)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return fmt.Errorf("make TAP %s: %w", name, err)
	}
	if !offload {
		return nil
	}
	const basic = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, basic|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil {
		return nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, basic); err != nil {
		return fmt.Errorf("set offloads of TAP %s: %w", name, err)
	}
	return nil
}

// setFilter has a program see what the host transmits on a TAP; it answers how much of a frame to keep.
func setFilter(f *os.File, program int) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno error
	err = rc.Control(func(fd uintptr) { errno = unix.IoctlSetPointerInt(int(fd), unix.TUNSETFILTEREBPF, program) })
	return errors.Join(err, errno)
}

func setCarrier(f *os.File, on bool) error {
	value := 0
	if on {
		value = 1
	}
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno error
	if err := rc.Control(func(fd uintptr) { errno = unix.IoctlSetPointerInt(int(fd), unix.TUNSETCARRIER, value) }); err != nil {
		return err
	}
	return errno
}

// deviceGone reports that the device of an open TAP was deleted by somebody else.
func deviceGone(err error) bool { return errors.Is(err, unix.EBADFD) || errors.Is(err, os.ErrInvalid) }
