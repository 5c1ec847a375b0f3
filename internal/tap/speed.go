// SPDX-License-Identifier: MIT

package tap

import (
	"fmt"
	"math"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ethtool is the kernel's generic netlink family of that name, Linux ≥ 5.6. Unlike the ioctl it finds a device by
// index, also after it was renamed.
var ethtool = sync.OnceValues(func() (*netlink.GenlFamily, error) {
	return netlink.GenlFamilyGet(unix.ETHTOOL_GENL_NAME)
})

// SetSpeed sets the speed in bit/s (0: unknown) and the duplex (full, half, "": unknown) that the device reports. A new
// TAP reports 10 Gbit/s, full duplex (tun_default_link_ksettings in drivers/net/tun.c).
func (a *Adapter) SetSpeed(bps uint64, duplex string) error {
	family, err := ethtool()
	if err != nil {
		return fmt.Errorf("set speed of %s: find ethtool: %w", a.name, err)
	}
	req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	req.AddData(&nl.Genlmsg{Command: unix.ETHTOOL_MSG_LINKMODES_SET, Version: unix.ETHTOOL_GENL_VERSION})
	head := nl.NewRtAttr(unix.ETHTOOL_A_LINKMODES_HEADER|unix.NLA_F_NESTED, nil)
	head.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(a.index)))
	req.AddData(head)
	req.AddData(nl.NewRtAttr(unix.ETHTOOL_A_LINKMODES_SPEED, nl.Uint32Attr(ethtoolSpeed(bps))))
	req.AddData(nl.NewRtAttr(unix.ETHTOOL_A_LINKMODES_DUPLEX, nl.Uint8Attr(ethtoolDuplex(duplex))))
	if _, err := req.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		return fmt.Errorf("set speed of %s: %w", a.name, err)
	}
	return nil
}

// ethtoolDuplex returns the DUPLEX_ constant of linux/ethtool.h.
func ethtoolDuplex(duplex string) uint8 {
	switch duplex {
	case "half":
		return 0
	case "full":
		return 1
	}
	return 0xff
}

// ethtoolSpeed returns a speed in Mbit/s, SPEED_UNKNOWN for 0, bounded as ethtool_validate_speed demands.
func ethtoolSpeed(bps uint64) uint32 {
	if bps < 1_000_000 {
		return math.MaxUint32
	}
	return uint32(min(bps/1_000_000, math.MaxInt32))
}
