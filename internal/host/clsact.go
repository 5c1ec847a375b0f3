package host

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// filterName is how our filter is found again.
const filterName = "nicteam_isolate"

// isolateClsact drops ingress by a cls_bpf filter. It outlives the process.
func (h *Host) isolateClsact(j *journal, m *memberState, n NIC) error {
	l, err := h.nl.LinkByIndex(n.Index)
	if err != nil {
		return err
	}
	there, err := h.clsact(l)
	if err != nil {
		return err
	}
	if err := j.write(record{Kind: kindIsolate, No: m.no, Method: byClsact, Qdisc: !there}); err != nil {
		return err
	}
	if !there {
		if err := h.at("add clsact to " + n.Name); err != nil {
			return err
		}
		if err := h.nl.QdiscAdd(clsactOf(n.Index)); err != nil {
			return fmt.Errorf("add clsact: %w", err)
		}
	}
	old, err := h.ourFilter(l)
	if err != nil || old != nil {
		return err
	}
	p, err := dropAll()
	if err != nil {
		return fmt.Errorf("load program: %w", err)
	}
	defer p.Close()
	if err := h.at("add filter to " + n.Name); err != nil {
		return err
	}
	err = h.nl.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: n.Index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: netlink.MakeHandle(0, 1), Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: p.FD(), Name: filterName, DirectAction: true,
	})
	if err != nil {
		return fmt.Errorf("add filter: %w", err)
	}
	return nil
}

func clsactOf(index int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

func (h *Host) clsact(l netlink.Link) (bool, error) {
	list, err := retry(func() ([]netlink.Qdisc, error) { return h.nl.QdiscList(l) })
	for _, q := range list {
		if q.Type() == "clsact" {
			return true, err
		}
	}
	return false, err
}

func (h *Host) ourFilter(l netlink.Link) (netlink.Filter, error) {
	list, err := retry(func() ([]netlink.Filter, error) { return h.nl.FilterList(l, netlink.HANDLE_MIN_INGRESS) })
	for _, f := range list {
		if b, ok := f.(*netlink.BpfFilter); ok && (b.Name == filterName || b.Name == filterName+":[*fsobj]") {
			return f, nil
		}
	}
	return nil, err
}

// admitClsact takes our filter away, and clsact too if it is ours and nobody else has come to use it.
func (h *Host) admitClsact(m *memberState, n NIC) error {
	l, err := h.nl.LinkByIndex(n.Index)
	if err != nil {
		return err
	}
	there, err := h.clsact(l)
	if err != nil || !there {
		return err
	}
	f, err := h.ourFilter(l)
	if err != nil {
		return err
	}
	if f != nil {
		if err := h.at("remove filter from " + n.Name); err != nil {
			return err
		}
		if err := h.nl.FilterDel(f); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove filter: %w", err)
		}
	}
	if !m.qdisc {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		list, err := retry(func() ([]netlink.Filter, error) { return h.nl.FilterList(l, parent) })
		if err != nil || len(list) > 0 {
			return err
		}
	}
	if err := h.at("remove clsact from " + n.Name); err != nil {
		return err
	}
	if err := h.nl.QdiscDel(clsactOf(n.Index)); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove clsact: %w", err)
	}
	return nil
}
