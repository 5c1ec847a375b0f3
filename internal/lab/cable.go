// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
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
	// EagerCarrier makes the kernel report a lost carrier at once, as it does only for veth.
	EagerCarrier bool
	// HardwareA and HardwareB describe the NICs. A nil HardwareB has no filter if A is a host, because B's filter
	// is attached to A.
	HardwareA Hardware
	HardwareB *Hardware
}

// Cable is a veth pair between two nodes. The kernel alone forwards its frames: measure gaps and rates on it. Both ends
// have the same ifindex, each in its namespace: the kernel then regards them as NICs (iflink equals ifindex) and may
// report a lost carrier up to a second later, as for hardware.
//
// A's receive filter is at B's tc egress. Frames that B sends with PACKET_QDISC_BYPASS bypass it; a Wire filters these
// too.
type Cable struct {
	A, B End

	mu           sync.Mutex
	fromA, fromB link.Link // programs that swallow
	rxA, rxB     *rxFilter // nil for a port of a switch
}

// End is a device in a node.
type End struct {
	Node Node
	Name string
}

// NewCable connects a and b with devices of these names and sets both up.
func NewCable(a Node, nameA string, b Node, nameB string, o CableOptions) (*Cable, error) {
	if o.HardwareB == nil {
		o.HardwareB = &Hardware{NoFilter: !a.isPort()}
	}
	if err := errors.Join(o.HardwareA.checkVeth(), o.HardwareB.checkVeth()); err != nil {
		return nil, fmt.Errorf("cable %s to %s: %w", nameA, nameB, err)
	}
	c := &Cable{A: End{a, nameA}, B: End{b, nameB}}
	if err := a.base().Do(func() error { return addVeth(c, o) }); err != nil {
		return nil, fmt.Errorf("cable %s %s to %s %s: %w", a.base().Name, nameA, b.base().Name, nameB, err)
	}
	if err := c.furnish(o); err != nil {
		c.Close()
		return nil, err
	}
	for _, e := range []End{c.A, c.B} {
		if err := e.Node.devicePlugged(e.Name); err != nil {
			c.Close()
			return nil, err
		}
	}
	for _, e := range []End{c.A, c.B} {
		if err := e.Node.base().awaitUp(e.Name, settleTime); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// furnish applies the hardware to both ends.
func (c *Cable) furnish(o CableOptions) (err error) {
	if c.rxA, err = c.filterOf(c.A, c.B, o.HardwareA); err != nil {
		return err
	}
	if c.rxB, err = c.filterOf(c.B, c.A, *o.HardwareB); err != nil {
		return err
	}
	return errors.Join(offloads(c.A, o.HardwareA, *o.HardwareB), offloads(c.B, *o.HardwareB, o.HardwareA))
}

// filterOf attaches e's receive filter to the far end. It is nil for an end without a filter.
func (c *Cable) filterOf(e, far End, hw Hardware) (*rxFilter, error) {
	if e.Node.isPort() || hw.NoFilter {
		return nil, nil
	}
	f, err := newRxFilter(rxCable, hw)
	if err != nil {
		return nil, fmt.Errorf("cable %s: %w", e.Name, err)
	}
	if err := f.setDevice(e.Node.base(), e.Name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	h := far.Node.base()
	l, err := h.handle.LinkByName(far.Name)
	if err == nil {
		_, err = h.attachEgress(l.Attrs().Index, f.program)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("filter for %s: %w", e.Name, err), f.Close())
	}
	return f, nil
}

// cableIndex numbers devices, far above the numbers that the kernel assigns.
var cableIndex atomic.Int32

func addVeth(c *Cable, o CableOptions) error {
	if o.MTU == 0 {
		o.MTU = 1500
	}
	// netlink.Veth cannot set the two indexes.
	index := 10_000 + 2*cableIndex.Add(1)
	peerIndex := index
	if o.EagerCarrier {
		peerIndex++
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	head := nl.NewIfInfomsg(unix.AF_UNSPEC)
	head.Index = index
	req.AddData(head)
	for _, a := range endAttrs(c.A, o.MACA, o.MTU) {
		req.AddData(a)
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC).Index = peerIndex
	for _, a := range endAttrs(c.B, o.MACB, o.MTU) {
		peer.AddChild(a)
	}
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func endAttrs(e End, mac net.HardwareAddr, mtu int) []*nl.RtAttr {
	attrs := []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(e.Name)),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))),
		nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(e.Node.base().net))),
	}
	if mac != nil {
		attrs = append(attrs, nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
	}
	return attrs
}

// Cut takes A's carrier by setting B down: A's host sees an unplugged cable, B's a device set down. With a Wire both
// see an unplugged cable.
func (c *Cable) Cut() error {
	err := c.B.Node.base().Down(c.B.Name)
	c.carrierChanged()
	return err
}

// Mend undoes Cut.
func (c *Cable) Mend() error {
	err := c.B.Node.base().Up(c.B.Name)
	c.carrierChanged()
	return err
}

func (c *Cable) carrierChanged() {
	c.A.Node.carrierChanged(c.A.Name)
	c.B.Node.carrierChanged(c.B.Name)
}

// Shape limits the rate of both directions; 0: no limit.
func (c *Cable) Shape(bitsPerSecond uint64) error {
	if err := c.A.Node.base().Shape(c.A.Name, bitsPerSecond); err != nil {
		return err
	}
	return c.B.Node.base().Shape(c.B.Name, bitsPerSecond)
}

// Close removes both ends. A cable whose host is closed is gone already.
func (c *Cable) Close() error {
	if err := c.stopSwallowing(); err != nil {
		return err
	}
	for _, f := range []*rxFilter{c.rxA, c.rxB} {
		if f != nil {
			f.Close()
		}
	}
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

const (
	// A burst below a super-frame would make the kernel cut each one up, and below some milliseconds
	// of the rate a late timer would cost throughput.
	minBurst  = 128 << 10
	burstTime = 4 * time.Millisecond
	// What may wait is bounded as in a switch: TCP finds the rate, and a ping under load shows a queue, not a minute.
	queueTime = 20 * time.Millisecond
)

// Shape limits the rate at which a device transmits; 0: no limit.
func (h *Host) Shape(name string, bitsPerSecond uint64) error {
	return h.withLink(name, "shape", func(l netlink.Link) error {
		attrs := netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0),
			Parent: netlink.HANDLE_ROOT}
		if bitsPerSecond == 0 {
			return h.handle.QdiscDel(&netlink.Tbf{QdiscAttrs: attrs})
		}
		rate := bitsPerSecond / 8
		burst := max(minBurst, uint32(float64(rate)*burstTime.Seconds()))
		return h.handle.QdiscReplace(&netlink.Tbf{
			QdiscAttrs: attrs,
			Rate:       rate,
			Buffer:     netlink.Xmittime(rate, burst),
			Limit:      burst + uint32(float64(rate)*queueTime.Seconds()),
		})
	})
}
