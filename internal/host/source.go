// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
	"nicteam/monitor"
)

var _ monitor.Source = (*Host)(nil)

// Carrier reports whether the NIC is up and has carrier, according to its driver.
func (h *Host) Carrier(index int) bool { return h.probe.carrier(index) }

// Link reads a NIC for the link watch.
func (h *Host) Link(index int) monitor.Link {
	l, err := h.rt.Handle.LinkByIndex(index)
	if err != nil {
		return monitor.Link{}
	}
	a := l.Attrs()
	out := monitor.Link{Exists: true, AdminUp: a.RawFlags&unix.IFF_UP != 0, Carrier: h.probe.carrier(index)}
	out.SpeedBps, out.Duplex = h.speed(a.Name)
	return out
}

// Changes signals link events, and speeds that are set by hand, until ctx ends. The subscriptions exist when Changes
// returns, in the namespace of the calling thread.
func (h *Host) Changes(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	listen := func(ctx context.Context, f *os.File, signal func()) {
		h.probe.invalidate()
		h.probe.listeners.Add(1)
		defer func() {
			h.probe.listeners.Add(-1)
			h.probe.invalidate()
		}()
		rtnl.ReadEvents(ctx, f, func([]byte) { h.probe.invalidate(); signal() })
	}
	rtnl.WatchGroups(ctx, unix.NETLINK_ROUTE, []uint{unix.RTNLGRP_LINK}, changed, listen)
	watchSpeeds(ctx, changed)
	return changed
}

// watchSpeeds signals speeds and duplexes that somebody sets. That is no link event if the link stays up, as it does on
// a virtual NIC. Before Linux 5.6 nobody tells: they are read with the next link event.
func watchSpeeds(ctx context.Context, changed chan<- struct{}) {
	family, err := netlink.GenlFamilyGet(unix.ETHTOOL_GENL_NAME)
	if err != nil {
		return
	}
	for _, g := range family.Groups {
		if g.Name != unix.ETHTOOL_MCGRP_MONITOR_NAME {
			continue
		}
		rtnl.WatchGroups(ctx, unix.NETLINK_GENERIC, []uint{uint(g.ID)}, changed,
			func(ctx context.Context, f *os.File, signal func()) {
				rtnl.ReadEvents(ctx, f, func(b []byte) {
					if rtnl.AnyMessage(b, setsLinkModes) {
						signal()
					}
				})
			})
	}
}

// setsLinkModes reports whether a message of ethtool's family says that speed, duplex or negotiation was set.
func setsLinkModes(m rtnl.Message) bool {
	return len(m.Body) > 0 && m.Body[0] == unix.ETHTOOL_MSG_LINKMODES_NTF // genlmsghdr.cmd
}

// LinkState is what a team follows of a link.
type LinkState struct {
	Name string
	MAC  frame.MAC
	MTU  int
	Up   bool // administratively
}

// ReadLink reads a link; ErrNoNIC if it is gone.
func (h *Host) ReadLink(index int) (LinkState, error) {
	l, err := h.rt.Handle.LinkByIndex(index)
	if err != nil {
		if errors.As(err, new(netlink.LinkNotFoundError)) || errors.Is(err, unix.ENODEV) {
			err = ErrNoNIC
		}
		return LinkState{}, fmt.Errorf("read link %d: %w", index, err)
	}
	a := l.Attrs()
	return LinkState{Name: a.Name, MAC: frame.MACFrom(a.HardwareAddr), MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0}, nil
}
