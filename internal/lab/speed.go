package lab

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

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

// setSpeed has ethtool show a speed and full duplex for a TAP of the calling thread's namespace.
func setSpeed(name string, mbit uint32) error {
	s := linkSettings{cmd: unix.ETHTOOL_GLINKSETTINGS}
	if err := ethtoolIoctl(name, unsafe.Pointer(&s)); err != nil {
		return fmt.Errorf("read link settings: %w", err)
	}
	// The kernel answered with how many words it has, negated.
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
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return errno
	}
	return nil
}
