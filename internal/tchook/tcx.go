package tchook

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attachTCX attaches a program to a hook. Closing the link, or the end of the process, detaches it. revision is that of
// the caller's query; ESTALE if the list has changed since. 0: any.
func (h *Hooks) attachTCX(l Link, hook ebpf.AttachType, p *ebpf.Program, where link.Anchor, revision uint64) (link.Link,
	error) {
	if h.NoTCX {
		return nil, ebpf.ErrNotSupported
	}
	if err := h.conn.FaultPoint("attach tcx to " + l.Name); err != nil {
		return nil, err
	}
	return link.AttachTCX(link.TCXOptions{Interface: l.Index, Program: p, Attach: hook, Anchor: where,
		ExpectedRevision: revision})
}

// onNIC reports whether a tcx link is still on the NIC. It vanishes with the NIC, and another NIC may get the ifindex.
func onNIC(l link.Link, index int) bool {
	info, err := l.Info()
	return err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == index
}

// queryTCX lists all tcx programs on a hook; kernels before 6.6 have none.
func queryTCX(index int, hook ebpf.AttachType) (*link.QueryResult, error) {
	got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: hook})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOENT) {
		return &link.QueryResult{}, nil
	}
	return got, err
}
