// SPDX-License-Identifier: MIT

package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// WireOptions; the zero value gives random addresses, an MTU of 1500, 1000 Mbit/s full duplex and offloads.
type WireOptions struct {
	MACA, MACB net.HardwareAddr
	MTU        int
	// SpeedMbit is what ethtool shows; it limits nothing.
	SpeedMbit uint32
	// NoOffload makes NICs that segment nothing and compute no checksum, so no super-frame crosses.
	NoOffload bool
	// HardwareA and HardwareB describe the NICs.
	HardwareA, HardwareB Hardware
}

// Wire connects two TAP NICs; this process forwards the frames:
//
//	A's host ── TAP ⇄ a goroutine each way (forward) ⇄ TAP ── B's host or switch
//
// Unlike veth, such a NIC looks like hardware to its host: iflink equals ifindex, the carrier changes at both ends
// without either being set down, frames can be lost in one direction without a sign, and a NIC can be unplugged.
type Wire struct {
	A, B *NIC
}

// NewWire creates both NICs and sets them up.
func NewWire(a Node, nameA string, b Node, nameB string, o WireOptions) (*Wire, error) {
	if o.MTU == 0 {
		o.MTU = 1500
	}
	if o.SpeedMbit == 0 {
		o.SpeedMbit = 1000
	}
	w := &Wire{A: newNIC(a, nameA, o.MACA, o, o.HardwareA), B: newNIC(b, nameB, o.MACB, o, o.HardwareB)}
	if err := errors.Join(w.A.loadFilter(), w.B.loadFilter()); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.A.far, w.B.far = w.B, w.A
	for _, n := range []*NIC{w.A, w.B} {
		if err := n.Replug(); err != nil {
			w.Close()
			return nil, err
		}
	}
	for _, n := range []*NIC{w.A, w.B} {
		if err := n.node.base().awaitUp(n.Name, settleTime+n.hw.LateCarrier); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// Cut removes the carrier from both ends.
func (w *Wire) Cut() error { return errors.Join(w.A.SetCarrier(false), w.B.SetCarrier(false)) }

// Mend restores the carrier of both ends.
func (w *Wire) Mend() error { return errors.Join(w.A.SetCarrier(true), w.B.SetCarrier(true)) }

// Shape limits the rate of both directions; 0: no limit. Unplugging a NIC removes the limit of its transmission.
func (w *Wire) Shape(bitsPerSecond uint64) error {
	if err := w.A.node.base().Shape(w.A.Name, bitsPerSecond); err != nil {
		return err
	}
	return w.B.node.base().Shape(w.B.Name, bitsPerSecond)
}

// Close unplugs both NICs.
func (w *Wire) Close() error {
	err := errors.Join(w.A.Unplug(), w.B.Unplug())
	for _, n := range []*NIC{w.A, w.B} {
		if n.rx != nil {
			n.rx.Close()
		}
	}
	return err
}

// NIC is one end of a Wire.
type NIC struct {
	Name string
	MAC  net.HardwareAddr

	node Node
	far  *NIC
	o    WireOptions
	hw   Hardware

	carrier              atomic.Bool // as set by SetCarrier
	link                 linkState   // as the host sees it
	swallowTx, swallowRx atomic.Bool
	filter               atomic.Pointer[func([]byte) int]
	file                 atomic.Pointer[os.File]
	lost                 atomic.Uint64
	rx                   *rxFilter // nil without a filter

	mu              sync.Mutex // plugging
	done, unplugged chan struct{}
}

func newNIC(node Node, name string, mac net.HardwareAddr, o WireOptions, hw Hardware) *NIC {
	if mac == nil {
		mac = make(net.HardwareAddr, 6)
		rand.Read(mac)
		mac[0] = mac[0]&^1 | 2
	}
	n := &NIC{Name: name, MAC: mac, node: node, o: o, hw: hw}
	n.carrier.Store(true)
	return n
}

// loadFilter loads the receive filter, if the NIC has one.
func (n *NIC) loadFilter() (err error) {
	if n.node.isPort() || n.hw.NoFilter {
		return nil
	}
	if n.rx, err = newRxFilter(rxWire, n.hw); err != nil {
		return fmt.Errorf("NIC %s: %w", n.Name, err)
	}
	return nil
}

// Host is the host that the NIC is plugged into, or the namespace of a switch.
func (n *NIC) Host() *Host { return n.node.base() }

// SwallowTx drops what the host transmits on the NIC, without a sign.
func (n *NIC) SwallowTx(on bool) { n.swallowTx.Store(on) }

// SwallowRx drops what the NIC would receive, without a sign.
func (n *NIC) SwallowRx(on bool) { n.swallowRx.Store(on) }

// Filter sets a function that the wire's goroutine calls with each frame that the host transmits on the NIC. It returns
// how often the frame arrives, 0 to drop it; it may change the frame and must not keep it. Nil removes it. A frame may
// be a super-frame of up to 64 KiB, unless WireOptions.NoOffload is set.
func (n *NIC) Filter(f func(frame []byte) (copies int)) {
	if f == nil {
		n.filter.Store(nil)
		return
	}
	n.filter.Store(&f)
}

// Lost counts frames to this NIC that its host did not get, because the device was down or gone, or within
// Hardware.LosesFirst.
func (n *NIC) Lost() uint64 { return n.lost.Load() }

// Unplug removes the device from its host; the far end loses its carrier.
func (n *NIC) Unplug() error {
	n.mu.Lock()
	f := n.file.Swap(nil)
	if f == nil {
		n.mu.Unlock()
		return nil
	}
	var err error
	if n.rx != nil {
		err = n.rx.change(func(r *rxRules) { r.Device = 0 })
	}
	err = errors.Join(err, f.Close())
	close(n.unplugged)
	<-n.done
	n.mu.Unlock()
	n.far.mu.Lock()
	defer n.far.mu.Unlock()
	return errors.Join(err, n.far.showCarrier())
}

// Replug plugs the NIC in again: same name and address, new ifindex, up.
func (n *NIC) Replug() error {
	n.mu.Lock()
	err := n.plug()
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("plug %s into %s: %w", n.Name, n.node.base().Name, err)
	}
	n.far.mu.Lock()
	defer n.far.mu.Unlock()
	return n.far.showCarrier()
}

func (n *NIC) plug() error {
	if n.file.Load() != nil {
		return nil
	}
	h := n.node.base()
	f, err := openTAP(h, n.Name, !n.o.NoOffload)
	if err != nil {
		return err
	}
	if err := n.attachFilters(f); err != nil {
		f.Close()
		return err
	}
	// Without carrier first, like hardware whose driver loads: a TAP that never lost it stays in operational state
	// "unknown".
	n.unplugged = make(chan struct{})
	err = errors.Join(setCarrier(f, false), n.configure(h))
	if err == nil {
		n.link.reset()
		n.file.Store(f)
		err = errors.Join(n.watchSettings(), n.showCarrier())
	}
	if err != nil {
		n.file.Store(nil)
		close(n.unplugged)
		f.Close()
		return err
	}
	n.done = make(chan struct{})
	go n.forward(f, n.done)
	return nil
}

// attachFilters points the NIC's filter to its new device, and attaches the far NIC's filter to that.
func (n *NIC) attachFilters(f *os.File) error {
	if n.rx != nil {
		if err := n.rx.setDevice(n.node.base(), n.Name); err != nil {
			return err
		}
	}
	if n.far.rx != nil {
		if err := setFilter(f, n.far.rx.program.FD()); err != nil {
			return fmt.Errorf("set filter for %s: %w", n.far.Name, err)
		}
	}
	return nil
}

func (n *NIC) configure(h *Host) error {
	l, err := h.handle.LinkByName(n.Name)
	if err != nil {
		return err
	}
	if err := h.handle.LinkSetHardwareAddr(l, n.MAC); err != nil {
		return fmt.Errorf("set address: %w", err)
	}
	if err := h.handle.LinkSetMTU(l, n.o.MTU); err != nil {
		return fmt.Errorf("set MTU: %w", err)
	}
	// The ring must hold the frames of a standstill of some ten milliseconds.
	if err := h.handle.LinkSetTxQLen(l, 4096); err != nil {
		return fmt.Errorf("set queue length: %w", err)
	}
	if err := h.Do(func() error { return setSpeed(n.Name, n.o.SpeedMbit) }); err != nil {
		return fmt.Errorf("set speed: %w", err)
	}
	if err := offloads(End{n.node, n.Name}, n.hw, n.far.hw); err != nil {
		return err
	}
	return n.node.devicePlugged(n.Name)
}

// forward forwards what the host transmits to the far NIC until the file is closed.
func (n *NIC) forward(from *os.File, done chan<- struct{}) {
	defer close(done)
	runtime.LockOSThread() // the thread ends with the goroutine, because of its priority
	preferThread()
	buf := make([]byte, vnetHeader+18+1<<16)
	for {
		size, err := from.Read(buf)
		if err != nil {
			if n.file.Load() != from {
				return
			}
			// The device was removed.
			if errors.Is(err, os.ErrClosed) || deviceGone(err) {
				return
			}
			continue
		}
		if size < vnetHeader+14 || !n.forwards() || !n.far.forwards() || n.swallowTx.Load() || n.far.swallowRx.Load() {
			continue
		}
		if n.link.blackhole.Load() || n.far.link.blackhole.Load() {
			n.far.lost.Add(1)
			continue
		}
		copies := 1
		if f := n.filter.Load(); f != nil {
			copies = (*f)(buf[vnetHeader:size])
		}
		for range copies {
			to := n.far.file.Load()
			if to == nil {
				n.far.lost.Add(1)
				continue
			}
			if _, err := to.Write(buf[:size]); err != nil {
				n.far.lost.Add(1)
			}
		}
	}
}
