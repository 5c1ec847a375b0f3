// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vnetHeader is the size of the virtio header before each frame of our TAPs.
const vnetHeader = 10

// openTAP creates a single-queue TAP in the host that exists as long as the file.
func openTAP(h *Host, name string, offload bool) (*os.File, error) {
	var f *os.File
	err := h.Do(func() error {
		// The device is created in the namespace in which the file was opened.
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

// TAP is a NIC of a host without a wire: the caller reads what the host transmits, and writes what it receives, each
// after VnetHeader octets.
type TAP struct{ *os.File }

// VnetHeader is the length of what is before a frame of a TAP: a virtio header, all zero for whole frames.
const VnetHeader = vnetHeader

// NewTAP makes a TAP of a host and sets it up. It is gone with the file.
func NewTAP(h *Host, name string) (*TAP, error) {
	f, err := openTAP(h, name, false)
	if err != nil {
		return nil, err
	}
	return &TAP{f}, h.Up(name)
}

// SetCarrier sets the carrier that the host sees.
func (t *TAP) SetCarrier(on bool) error { return setCarrier(t.File, on) }

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

// setFilter attaches a socket filter to what the host transmits on a TAP. It returns how much of a frame to keep.
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
	if err := rc.Control(func(fd uintptr) {
		errno = unix.IoctlSetPointerInt(int(fd), unix.TUNSETCARRIER, value)
	}); err != nil {
		return err
	}
	return errno
}

// deviceGone reports whether the device of an open TAP was deleted.
func deviceGone(err error) bool { return errors.Is(err, unix.EBADFD) || errors.Is(err, os.ErrInvalid) }

// linkSettings is struct ethtool_link_settings of linux/ethtool.h with room for its masks. The
// ethtool library knows three words a mask and refuses kernels that have four.
type linkSettings struct {
	cmd, speed                             uint32
	duplex, port, phy, autoneg, mdio       uint8
	mdix, mdixCtrl                         uint8
	maskWords                              int8
	transceiver, masterCfg, masterState, _ uint8
	rateMatching                           uint8
	_                                      [3]uint8
	_                                      [6]uint32
	masks                                  [3 * 127]uint32
}

// setSpeed sets the speed, and full duplex, that ethtool shows for a TAP of the calling thread's namespace.
func setSpeed(name string, mbit uint32) error {
	s := linkSettings{cmd: unix.ETHTOOL_GLINKSETTINGS}
	if err := ethtoolIoctl(name, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("read link settings: %w", err)
	}
	// The kernel returns its number of words, negated.
	s = linkSettings{cmd: unix.ETHTOOL_GLINKSETTINGS, maskWords: -s.maskWords}
	if err := ethtoolIoctl(name, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("read link settings: %w", err)
	}
	s.cmd, s.speed, s.duplex = unix.ETHTOOL_SLINKSETTINGS, mbit, 1
	if err := ethtoolIoctl(name, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("write link settings: %w", err)
	}
	return nil
}

func ethtoolIoctl(name string, data unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	req.data = data
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&req))); errno != 0 {
		return errno
	}
	return nil
}
