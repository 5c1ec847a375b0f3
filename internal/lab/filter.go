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

// attachIngress has a program see what a device of the host receives: by tcx, or as a filter before Linux 6.6.
func (h *Host) attachIngress(index int, p *ebpf.Program) (c io.Closer, err error) {
	err = h.Do(func() error {
		c, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXIngress})
		return err
	})
	if !errors.Is(err, ebpf.ErrNotSupported) {
		return c, err
	}
	err = h.handle.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("add clsact: %w", err)
	}
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Priority: 1, Handle: 1, Protocol: unix.ETH_P_ALL},
		Fd:          p.FD(), Name: "lab", DirectAction: true,
	}
	if err := h.handle.FilterAdd(f); err != nil {
		return nil, fmt.Errorf("add filter: %w", err)
	}
	return filter{h.handle, f}, nil
}

// filter takes itself off its device.
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
