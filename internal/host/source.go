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

// Changes signals link events until ctx ends. The subscription exists when Changes returns, in the namespace of the
// calling thread.
func (h *Host) Changes(ctx context.Context) <-chan struct{} {
	return rtnl.WatchEvents(ctx, []uint{unix.RTNLGRP_LINK}, func(ctx context.Context, f *os.File, signal func()) {
		h.probe.invalidate()
		h.probe.listeners.Add(1)
		defer func() {
			h.probe.listeners.Add(-1)
			h.probe.invalidate()
		}()
		rtnl.ReadEvents(ctx, f, func([]byte) { h.probe.invalidate(); signal() })
	})
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
