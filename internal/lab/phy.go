// SPDX-License-Identifier: MIT

package lab

import (
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// speedUnknown is SPEED_UNKNOWN of linux/ethtool.h.
const speedUnknown = math.MaxUint32

// linkState is the carrier of a NIC as its host sees it. NIC.mu guards all but the atomics.
type linkState struct {
	up        atomic.Bool // as set in the kernel
	blackhole atomic.Bool // frames vanish

	resets  int    // under way
	changes uint64 // of the carrier that is wanted; each cancels the delayed ones before it
	ups     uint64 // how often the carrier came up
}

// reset prepares the state of a NIC that is plugged in.
func (s *linkState) reset() {
	s.up.Store(false)
	s.blackhole.Store(false)
	s.resets = 0
}

// forwards reports whether frames pass the NIC: the line is not cut and the carrier is up.
func (n *NIC) forwards() bool { return n.carrier.Load() && n.link.up.Load() }

// SetCarrier sets the carrier at this end, for the host at once or after Hardware.LateCarrier. Without it no frame
// passes the wire in either direction.
func (n *NIC) SetCarrier(on bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.carrier.Store(on)
	return n.showCarrier()
}

// wantedCarrier is the carrier without delays. There is none while the far NIC is unplugged.
func (n *NIC) wantedCarrier() bool { return n.carrier.Load() && n.far.file.Load() != nil }

// showCarrier updates the carrier in the kernel, after Hardware.LateCarrier. The caller holds mu.
func (n *NIC) showCarrier() error {
	n.link.changes++
	if n.hw.LateCarrier == 0 || n.link.resets > 0 {
		return n.setKernelCarrier()
	}
	n.afterDelay(n.hw.LateCarrier, &n.link.changes, n.setKernelCarrier)
	return nil
}

// setKernelCarrier updates the carrier in the kernel now. The caller holds mu.
func (n *NIC) setKernelCarrier() error {
	f := n.file.Load()
	if f == nil {
		return nil
	}
	up := n.wantedCarrier() && n.link.resets == 0
	if up && !n.link.up.Load() {
		if err := n.carrierUp(); err != nil {
			return err
		}
	}
	n.link.up.Store(up)
	if err := setCarrier(f, up); err != nil {
		return fmt.Errorf("set carrier of %s: %w", n.Name, err)
	}
	n.node.carrierChanged(n.Name)
	return nil
}

// carrierUp applies SpeedUnknown and LosesFirst before the host can see the carrier. The caller holds mu.
func (n *NIC) carrierUp() error {
	n.link.ups++
	if n.hw.LosesFirst > 0 {
		n.link.blackhole.Store(true)
		n.afterDelay(n.hw.LosesFirst, &n.link.ups, func() error { n.link.blackhole.Store(false); return nil })
	}
	if n.hw.SpeedUnknown > 0 {
		if err := n.showSpeed(speedUnknown); err != nil {
			return err
		}
		n.afterDelay(n.hw.SpeedUnknown, &n.link.ups, func() error { return n.showSpeed(n.o.SpeedMbit) })
	}
	return nil
}

func (n *NIC) showSpeed(mbit uint32) error {
	if err := n.node.base().Do(func() error { return setSpeed(n.Name, mbit) }); err != nil {
		return fmt.Errorf("set speed of %s: %w", n.Name, err)
	}
	return nil
}

// afterDelay calls f with mu held after d, unless the NIC was unplugged or count has changed meanwhile. An error of f
// means that the device is gone, and is ignored.
func (n *NIC) afterDelay(d time.Duration, count *uint64, f func() error) {
	plugged, planned := n.file.Load(), *count
	time.AfterFunc(d, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.file.Load() == plugged && *count == planned {
			_ = f()
		}
	})
}

// watchSettings resets the NIC when its MTU or its MAC changes, if Hardware.Reset is set.
func (n *NIC) watchSettings() error {
	if n.hw.Reset == 0 {
		return nil
	}
	h := n.node.base()
	l, err := h.handle.LinkByName(n.Name)
	if err != nil {
		return err
	}
	ns := netns.NsHandle(h.net)
	events := make(chan netlink.LinkUpdate, 64)
	o := netlink.LinkSubscribeOptions{Namespace: &ns}
	if err := netlink.LinkSubscribeWithOptions(events, n.unplugged, o); err != nil {
		return fmt.Errorf("watch %s: %w", n.Name, err)
	}
	index, mtu, mac := l.Attrs().Index, l.Attrs().MTU, l.Attrs().HardwareAddr.String()
	plugged := n.file.Load()
	go func() {
		for e := range events {
			a := e.Attrs()
			if a.Index != index || a.MTU == mtu && a.HardwareAddr.String() == mac {
				continue
			}
			mtu, mac = a.MTU, a.HardwareAddr.String()
			n.reset(plugged)
		}
	}()
	return nil
}

// reset removes the carrier for Hardware.Reset, if the NIC is still the one that was plugged in.
func (n *NIC) reset(plugged *os.File) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file.Load() != plugged {
		return
	}
	n.link.resets++
	_ = n.setKernelCarrier() // fails only for a device that is gone
	always := uint64(0)
	n.afterDelay(n.hw.Reset, &always, func() error {
		n.link.resets--
		return n.showCarrier()
	})
}
