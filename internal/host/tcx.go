package host

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// attachTCX puts a program on a hook of a NIC. Closing the link takes it away, and so does the end of the process.
// revision is of the list of programs as the caller knows it; if that has changed the error is ESTALE. 0: it does not matter.
func (h *Host) attachTCX(n NIC, hook ebpf.AttachType, p *ebpf.Program, where link.Anchor, revision uint64) (link.Link, error) {
	if h.o.NoTCX {
		return nil, ebpf.ErrNotSupported
	}
	if err := h.at("attach tcx to " + n.Name); err != nil {
		return nil, err
	}
	return link.AttachTCX(link.TCXOptions{Interface: n.Index, Program: p, Attach: hook, Anchor: where, ExpectedRevision: revision})
}

// onNIC reports whether a tcx link is still on the NIC: it goes with a NIC that goes, and another may get the index.
func onNIC(l link.Link, index int) bool {
	info, err := l.Info()
	return err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == index
}

// EndGone takes the team's programs off NICs that have left for another network namespace: those by tcx have gone along and
// would keep its frames from whoever has the NIC now. Filters stay behind by themselves.
func (h *Host) EndGone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	gone := func(l link.Link, index int) bool {
		if l == nil {
			return false
		}
		if !onNIC(l, index) {
			return true
		}
		_, err := h.rt.Handle.LinkByIndex(index)
		return errors.As(err, new(netlink.LinkNotFoundError))
	}
	for index, i := range h.isolated {
		if gone(i.link, index) {
			h.endTCX(index)
		}
	}
	for at, a := range h.attached {
		if gone(a.link, at.index) {
			a.close()
			delete(h.attached, at)
		}
	}
}

// queryTCX lists everybody's programs on a hook of a NIC; kernels before 6.6 have none.
func queryTCX(index int, hook ebpf.AttachType) (*link.QueryResult, error) {
	got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: hook})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOENT) {
		return &link.QueryResult{}, nil
	}
	return got, err
}
