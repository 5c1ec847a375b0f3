// SPDX-License-Identifier: MIT

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// VirtioVariable is the environment variable with the path of the network namespace of the machine's virtio NICs. A
// machine of internal/lab/kernels sets it.
const VirtioVariable = "LAB_VIRTIO_NETNS"

// VirtioMAC begins the addresses of such NICs. The number of a pair that QEMU has connected follows, and an end, 0 or
// 1.
var VirtioMAC = []byte{0x52, 0x54, 0x00, 0x6c}

// ErrNoVirtio says that no pair of virtio NICs is free.
var ErrNoVirtio = errors.New("no free pair of virtio NICs: make test-kernels makes a machine that has some")

// VirtioCable connects two nodes by two virtio NICs that QEMU has connected. Unlike veth and TAP they filter as
// hardware does: a frame to an address that is not in the filter is dropped before the kernel sees it.
type VirtioCable struct {
	A, B End
	pair byte
}

var virtioPairs sync.Mutex // one test takes at a time

// NewVirtioCable connects a and b with devices of these names and sets both up.
func NewVirtioCable(a Node, nameA string, b Node, nameB string) (*VirtioCable, error) {
	virtioPairs.Lock()
	defer virtioPairs.Unlock()
	c := &VirtioCable{A: End{a, nameA}, B: End{b, nameB}}
	err := inMachineNetNS(func(m *netlink.Handle) (err error) {
		if c.pair, err = freePair(m); err != nil {
			return err
		}
		return errors.Join(c.moveIn(m, 0, c.A), c.moveIn(m, 1, c.B))
	})
	for _, e := range []End{c.A, c.B} {
		if err == nil {
			err = e.Node.devicePlugged(e.Name)
		}
	}
	for _, e := range []End{c.A, c.B} {
		if err == nil {
			err = e.Node.base().awaitUp(e.Name, settleTime)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("virtio cable %s %s to %s %s: %w", a.base().Name, nameA, b.base().Name,
			nameB, err), c.returnNICs())
	}
	return c, nil
}

// inMachineNetNS runs f with a handle in the namespace that has the free NICs.
func inMachineNetNS(f func(*netlink.Handle) error) error {
	path := os.Getenv(VirtioVariable)
	if path == "" {
		return ErrNoVirtio
	}
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", path, err)
	}
	defer ns.Close()
	m, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer m.Close()
	return f(m)
}

// freePair returns a pair both ends of which are free.
func freePair(m *netlink.Handle) (byte, error) {
	list, err := m.LinkList()
	if err != nil {
		return 0, err
	}
	ends := map[byte]int{}
	for _, l := range list {
		if mac := l.Attrs().HardwareAddr; len(mac) == 6 && bytes.HasPrefix(mac, VirtioMAC) {
			if ends[mac[4]]++; ends[mac[4]] == 2 {
				return mac[4], nil
			}
		}
	}
	return 0, ErrNoVirtio
}

func (c *VirtioCable) find(h *netlink.Handle, end byte) (netlink.Link, error) {
	list, err := h.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		// A bridge or a team on it may have its address.
		if l.Type() == "device" && bytes.Equal(l.Attrs().HardwareAddr, append(bytes.Clone(VirtioMAC), c.pair, end)) {
			return l, nil
		}
	}
	return nil, fmt.Errorf("end %d of virtio pair %d: %w", end, c.pair, ErrNoVirtio)
}

// moveIn moves an end of the pair into a node.
func (c *VirtioCable) moveIn(m *netlink.Handle, end byte, e End) error {
	l, err := c.find(m, end)
	if err == nil {
		// A name that no node uses, or the move would fail.
		err = errors.Join(m.LinkSetDown(l), m.LinkSetName(l, fmt.Sprintf("virtio%d.%d", c.pair, end)),
			m.LinkSetNsFd(l, e.Node.base().net))
	}
	if err == nil {
		l, err = c.find(e.Node.base().handle, end)
	}
	if err == nil {
		err = e.Node.base().handle.LinkSetName(l, e.Name)
	}
	return err
}

// Close moves both NICs back. Closing twice is fine.
func (c *VirtioCable) Close() error {
	virtioPairs.Lock()
	defer virtioPairs.Unlock()
	return c.returnNICs()
}

func (c *VirtioCable) returnNICs() error {
	path := os.Getenv(VirtioVariable)
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil // there are none
	}
	defer ns.Close()
	var errs []error
	for i, e := range []End{c.A, c.B} {
		h := e.Node.base().handle
		l, err := c.find(h, byte(i))
		if err != nil {
			continue // it has been moved, or the node was closed, and the kernel moved it
		}
		for what, err := range map[string]error{
			"set down": h.LinkSetDown(l), "rename": h.LinkSetName(l, fmt.Sprintf("virtio%d.%d", c.pair, i)),
			"move": h.LinkSetNsFd(l, int(ns)),
		} {
			if err != nil {
				errs = append(errs, fmt.Errorf("%s end %d of virtio pair %d: %w", what, i, c.pair, err))
			}
		}
	}
	return errors.Join(errs...)
}
