package tchook

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attachTCX puts a program on a hook of a NIC. Closing the link takes it away, and so does the end of the process.
// revision is of the list of programs as the caller knows it; if that has changed the error is ESTALE. 0: it does not matter.
func (h *Hooks) attachTCX(l Link, hook ebpf.AttachType, p *ebpf.Program, where link.Anchor, revision uint64) (link.Link, error) {
	if h.NoTCX {
		return nil, ebpf.ErrNotSupported
	}
	if err := h.conn.FaultPoint("attach tcx to " + l.Name); err != nil {
		return nil, err
	}
	return link.AttachTCX(link.TCXOptions{Interface: l.Index, Program: p, Attach: hook, Anchor: where, ExpectedRevision: revision})
}

// onNIC reports whether a tcx link is still on the NIC: it goes with a NIC that goes, and another may get the index.
func onNIC(l link.Link, index int) bool {
	info, err := l.Info()
	return err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == index
}

// queryTCX lists everybody's programs on a hook of a NIC; kernels before 6.6 have none.
func queryTCX(index int, hook ebpf.AttachType) (*link.QueryResult, error) {
	got, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: hook})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOENT) {
		return &link.QueryResult{}, nil
	}
	return got, err
}
