package lab

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// Line is what joins two nodes: a Cable or a Wire.
type Line interface {
	Cut() error
	Mend() error
	Shape(bitsPerSecond uint64) error
	Close() error
}

var (
	_ Line = (*Cable)(nil)
	_ Line = (*Wire)(nil)
)

// CableOptions; the zero value gives addresses of the kernel's choice and an MTU of 1500.
type CableOptions struct {
	MACA, MACB net.HardwareAddr
	MTU        int
}

// Cable is a veth pair between two nodes: as fast as this machine can be, but its ends show each
// other's state (iflink != ifindex) and each queues in the sender's context. Wire is closer to a NIC.
type Cable struct {
	A, B End
}

// End is a device in a node.
type End struct {
	Node Node
	Name string
}

// NewCable joins a and b by devices of these names and sets both up.
func NewCable(a Node, nameA string, b Node, nameB string, o CableOptions) (*Cable, error) {
	c := &Cable{A: End{a, nameA}, B: End{b, nameB}}
	v := &netlink.Veth{LinkAttrs: linkAttrs(nameA), PeerName: nameB, PeerNamespace: netlink.NsFd(b.base().net)}
	v.HardwareAddr, v.PeerHardwareAddr = o.MACA, o.MACB
	v.MTU = o.MTU
	if err := a.base().handle.LinkAdd(v); err != nil {
		return nil, fmt.Errorf("cable %s %s to %s %s: %w", a.base().Name, nameA, b.base().Name, nameB, err)
	}
	for _, e := range []End{c.A, c.B} {
		if err := e.Node.plugged(e.Name); err != nil {
			c.Close()
			return nil, err
		}
	}
	for _, e := range []End{c.A, c.B} {
		if err := e.Node.base().awaitUp(e.Name); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Cut takes the carrier from A by setting B down: A's host sees an unplugged cable, B's a device set
// down. A Wire can be cut with both ends seeing the same.
func (c *Cable) Cut() error { return c.B.Node.base().Down(c.B.Name) }

// Mend undoes Cut.
func (c *Cable) Mend() error { return c.B.Node.base().Up(c.B.Name) }

// Shape limits both directions; 0 ends that.
func (c *Cable) Shape(bitsPerSecond uint64) error {
	if err := c.A.Node.base().Shape(c.A.Name, bitsPerSecond); err != nil {
		return err
	}
	return c.B.Node.base().Shape(c.B.Name, bitsPerSecond)
}

// Close removes both ends. A cable whose host is closed is gone already.
func (c *Cable) Close() error {
	h := c.A.Node.base()
	l, err := h.handle.LinkByName(c.A.Name)
	if err != nil {
		return nil
	}
	if err := h.handle.LinkDel(l); err != nil {
		return fmt.Errorf("remove cable %s: %w", c.A.Name, err)
	}
	return nil
}
