// SPDX-License-Identifier: MIT

package lab

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attachIngress attaches a program to the ingress of a device of the host.
func (h *Host) attachIngress(index int, p *ebpf.Program) (io.Closer, error) {
	return h.Attach(index, ebpf.AttachTCXIngress, p)
}

// Attach attaches a program to a hook of a device of the host (ebpf.AttachTCXIngress, ebpf.AttachTCXEgress): by tcx, or
// before Linux 6.6 as a clsact filter.
func (h *Host) Attach(index int, at ebpf.AttachType, p *ebpf.Program) (c io.Closer, err error) {
	err = h.Do(func() error {
		c, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: at})
		return err
	})
	if !errors.Is(err, ebpf.ErrNotSupported) {
		return c, err
	}
	if err := h.addClsact(index); err != nil {
		return nil, err
	}
	parent := uint32(netlink.HANDLE_MIN_INGRESS)
	if at == ebpf.AttachTCXEgress {
		parent = netlink.HANDLE_MIN_EGRESS
	}
	return h.addFilter(index, parent, p)
}

func (h *Host) addClsact(index int) error {
	err := h.handle.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add clsact: %w", err)
	}
	return nil
}

func (h *Host) addFilter(index int, parent uint32, p *ebpf.Program) (io.Closer, error) {
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: parent, Priority: 1, Handle: 1,
			Protocol: unix.ETH_P_ALL},
		Fd: p.FD(), Name: "lab", DirectAction: true,
	}
	if err := h.handle.FilterAdd(f); err != nil {
		return nil, fmt.Errorf("add filter: %w", err)
	}
	return filter{h.handle, f}, nil
}

// filter is an attached clsact filter. Close removes it.
type filter struct {
	at *netlink.Handle
	f  *netlink.BpfFilter
}

func (f filter) Close() error {
	if err := f.at.FilterDel(f.f); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove filter: %w", err)
	}
	return nil
}

// attachEgress attaches a program to the egress of a device of the host. It is a clsact filter on any kernel: with tcx
// a dropped frame is an error for the sender.
func (h *Host) attachEgress(index int, p *ebpf.Program) (io.Closer, error) {
	if err := h.addClsact(index); err != nil {
		return nil, err
	}
	return h.addFilter(index, netlink.HANDLE_MIN_EGRESS, p)
}
