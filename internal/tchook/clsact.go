// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// A filter is a cls_bpf filter of ours in direct-action mode. It is found by its name, ordered by its preference, and
// distinguished by its handle from filters of the same preference. It outlives the process.
type filter struct {
	name   string
	parent uint32
	pref   uint16
	handle uint16
}

// Filters that redirect come before the one that drops.
var (
	receiveFilter  = filter{"nicteam_receive", netlink.HANDLE_MIN_INGRESS, 1, 2}
	transmitFilter = filter{"nicteam_transmit", netlink.HANDLE_MIN_EGRESS, 1, 2}
	isolateFilter  = filter{"nicteam_isolate", netlink.HANDLE_MIN_INGRESS, 2, 1}
)

// is reports whether o is f. tc appends a suffix to the name of a program that was loaded from a file.
func (f filter) is(o netlink.Filter) bool {
	b, ok := o.(*netlink.BpfFilter)
	return ok && (b.Name == f.name || b.Name == f.name+":[*fsobj]")
}

// addFilter adds a filter, and clsact if it is missing. intend journals what will be done, and whether clsact is part
// of it. An existing filter of ours stays.
func (h *Hooks) addFilter(l Link, f filter, p *ebpf.Program, intend func(qdisc bool) error) error {
	nl, err := h.conn.Handle.LinkByIndex(l.Index)
	if err != nil {
		return err
	}
	kind, err := h.ingressQdisc(nl)
	if err != nil {
		return err
	}
	there := kind == clsactKind
	if err := intend(!there); err != nil {
		return err
	}
	if !there {
		if err := h.conn.FaultPoint("add clsact to " + l.Name); err != nil {
			return err
		}
		if err := h.conn.Handle.QdiscAdd(clsactOf(l.Index)); err != nil {
			return fmt.Errorf("add clsact: %w", err)
		}
	}
	old, err := h.findFilter(nl, f)
	if err != nil || old != nil {
		return err
	}
	if err := h.conn.FaultPoint("add filter to " + l.Name); err != nil {
		return err
	}
	err = h.conn.Handle.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Index, Parent: f.parent,
			Handle: netlink.MakeHandle(0, f.handle), Protocol: unix.ETH_P_ALL, Priority: f.pref,
		},
		Fd: p.FD(), Name: f.name, DirectAction: true,
	})
	if err != nil {
		return fmt.Errorf("add filter: %w", err)
	}
	return nil
}

// replaceFilter puts p in the place of the program of a filter, with no frame between the two.
func (h *Hooks) replaceFilter(old netlink.Filter, p *ebpf.Program) error {
	b, ok := old.(*netlink.BpfFilter)
	if !ok {
		return fmt.Errorf("replace filter: it is of kind %s", old.Type())
	}
	if err := h.conn.FaultPoint("replace filter"); err != nil {
		return err
	}
	err := h.conn.Handle.FilterReplace(&netlink.BpfFilter{FilterAttrs: b.FilterAttrs, Fd: p.FD(), Name: b.Name,
		DirectAction: true})
	if err != nil {
		return fmt.Errorf("replace filter: %w", err)
	}
	return nil
}

func clsactOf(index int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

// Qdiscs whose filters see received frames. Only clsact also sees sent ones.
const (
	clsactKind  = "clsact"
	ingressKind = "ingress"
)

// ingressQdisc returns which of them a NIC has, "" for none.
func (h *Hooks) ingressQdisc(l netlink.Link) (string, error) {
	list, err := rtnl.RetryDump(func() ([]netlink.Qdisc, error) { return h.conn.Handle.QdiscList(l) })
	for _, q := range list {
		if kind := q.Type(); kind == clsactKind || kind == ingressKind {
			return kind, err
		}
	}
	return "", err
}

// filters lists all filters on a hook.
func (h *Hooks) filters(l netlink.Link, parent uint32) ([]netlink.Filter, error) {
	list, err := rtnl.RetryDump(func() ([]netlink.Filter, error) { return h.conn.Handle.FilterList(l, parent) })
	if err != nil {
		return nil, fmt.Errorf("list filters: %w", err)
	}
	return list, nil
}

func (h *Hooks) findFilter(l netlink.Link, f filter) (netlink.Filter, error) {
	list, err := h.filters(l, f.parent)
	for _, o := range list {
		if f.is(o) {
			return o, nil
		}
	}
	return nil, err
}

// dropFilter removes a filter, and clsact if it is ours and nobody else uses it.
func (h *Hooks) dropFilter(l Link, f filter, qdisc bool) error {
	nl, err := h.conn.Handle.LinkByIndex(l.Index)
	if err != nil {
		return err
	}
	kind, err := h.ingressQdisc(nl)
	if err != nil || kind != clsactKind {
		return err
	}
	old, err := h.findFilter(nl, f)
	if err != nil {
		return err
	}
	if old != nil {
		if err := h.conn.FaultPoint("remove filter from " + l.Name); err != nil {
			return err
		}
		if err := h.conn.Handle.FilterDel(old); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove filter: %w", err)
		}
	}
	if !qdisc {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		if list, err := h.filters(nl, parent); err != nil || len(list) > 0 {
			return err
		}
	}
	if err := h.conn.FaultPoint("remove clsact from " + l.Name); err != nil {
		return err
	}
	if err := h.conn.Handle.QdiscDel(clsactOf(l.Index)); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove clsact: %w", err)
	}
	return nil
}
