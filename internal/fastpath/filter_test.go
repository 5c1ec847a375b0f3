// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attachFilter attaches by clsact, as package host does before Linux 6.6.
func (g *rig) attachFilter(index int, hook ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	parent := uint32(netlink.HANDLE_MIN_INGRESS)
	if hook == ebpf.AttachTCXEgress {
		parent = netlink.HANDLE_MIN_EGRESS
	}
	h := g.host.Handle()
	err := h.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("add clsact: %w", err)
	}
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: parent, Priority: 1, Handle: 1,
			Protocol: unix.ETH_P_ALL},
		Fd: p.FD(), Name: "nicteam", DirectAction: true,
	}
	if err := h.FilterAdd(f); err != nil {
		return nil, fmt.Errorf("add filter: %w", err)
	}
	return filter{h, f}, nil
}

// filter takes itself off.
type filter struct {
	at *netlink.Handle
	f  *netlink.BpfFilter
}

func (f filter) Close() error { return f.at.FilterDel(f.f) }
