// SPDX-License-Identifier: MIT

package tap

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ReportLoss has the kernel tell programs (VRRP, routing daemons) at once that the adapter has lost its carrier, and
// stop its queue. By itself it does so at most once a second machine-wide, and what takes the adapter's carrier are
// events of the members a moment before (net/core/link_watch.c: a device's own loss is not urgent). Call it after
// SetCarrier(false).
func (a *Adapter) ReportLoss() error {
	// From Linux 6.8 on whoever asks for one link gets its real state, and everybody is told.
	l, err := netlink.LinkByIndex(a.index)
	if err == nil && l.Attrs().RawFlags&unix.IFF_RUNNING != 0 {
		err = a.setDormant()
	}
	if err != nil {
		return fmt.Errorf("report the carrier of %s: %w", a.name, err)
	}
	return nil
}

// setDormant takes IFF_RUNNING from the adapter. The kernel sets the state by the carrier when it next looks at that:
// within a second, or as soon as the carrier is on.
func (a *Adapter) setDormant() error {
	r := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(a.index)
	r.AddData(m)
	r.AddData(nl.NewRtAttr(unix.IFLA_OPERSTATE, nl.Uint8Attr(netlink.OperDormant)))
	_, err := r.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
