package host

import (
	"fmt"

	"github.com/safchain/ethtool"
)

// ShowSpeed has a TAP say that it is so fast, full duplex, where programs ask (ethtool, /sys, SNMP). 0 is unknown; one of which
// nothing was said has 10 Mbit/s.
func (h *Host) ShowSpeed(index int, bps uint64) error {
	l, err := h.nl.LinkByIndex(index)
	if err != nil {
		return fmt.Errorf("show speed: %w", err)
	}
	const unknown, full, noDuplex = 1<<32 - 1, 1, 0xff
	speed, duplex := uint32(unknown), uint8(noDuplex)
	if bps > 0 {
		speed, duplex = uint32(min(bps/1_000_000, unknown-1)), full
	}
	set := ethtool.EthtoolCmd{Speed: uint16(speed), Speed_hi: uint16(speed >> 16), Duplex: duplex}
	if _, err := h.tool.CmdSet(&set, l.Attrs().Name); err != nil {
		return fmt.Errorf("show speed of %s: %w", l.Attrs().Name, err)
	}
	return nil
}
