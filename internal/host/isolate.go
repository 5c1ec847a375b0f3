package host

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"nicteam/internal/rtnl"
)

// method is how a member's ingress is kept from the host's IP stack. All of them come after the ETH_P_ALL sockets in
// __netif_receive_skb_core, so the data path still sees every frame.
type method string

// The methods, best first. Only tcx ends with the process; the others are journalled.
const (
	byTCX    method = "tcx"    // ≥ 6.6
	byClsact method = "clsact" // ≥ 4.5, with cls_bpf
	byNft    method = "nft"    // netdev family, program nft
)

var methods = []method{byTCX, byClsact, byNft}

// isolation is a member's drop as this process holds it.
type isolation struct {
	method method
	link   link.Link // tcx
}

func (i *isolation) close() {
	if i.link != nil {
		i.link.Close()
	}
}

// holds reports whether what drops the frames is still on the NIC.
func (i *isolation) holds(index int) bool {
	if i.link == nil {
		return false // finding out costs as much as doing it again
	}
	return onNIC(i.link, index)
}

// Isolate hides the frames that a recorded member receives from the host's own IP stack; what is the NIC's own business
// passes (bpf/isolate.c). Where anybody may miss them,
// the member's packet socket must be open by then. Doing it again is fine.
func (h *Host) Isolate(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.isolated[index]; i != nil && i.holds(index) {
		return nil
	}
	h.endTCX(index)
	n, err := h.nicAt(index)
	if err != nil {
		return fmt.Errorf("isolate: %w", err)
	}
	var errs []error
	for _, m := range methods {
		if h.o.method != "" && m != h.o.method {
			continue
		}
		if a := h.attached[place{index, ebpf.AttachTCXIngress}]; m == byTCX && a != nil && a.link == nil {
			continue // tcx comes before filters, and ours must see the frames first
		}
		i, err := h.isolate(n, m)
		if err == nil {
			h.isolated[index] = i
			h.log.Debug("isolated", "member", n.Name, "by", m)
			return nil
		}
		if rtnl.IsInjectedCrash(err) {
			return err
		}
		errs = append(errs, fmt.Errorf("by %s: %w", m, err))
	}
	return fmt.Errorf("isolate NIC %s: %w", n.Name, errors.Join(errs...))
}

func (h *Host) isolate(n NIC, by method) (*isolation, error) {
	if by == byTCX {
		return h.isolateTCX(n)
	}
	j, err := h.begun()
	if err != nil {
		return nil, err
	}
	m := j.state.sameAs(n.Identity())
	if m == nil {
		return nil, fmt.Errorf("NIC %s: not recorded", n.Name)
	}
	if by == byClsact {
		err = h.isolateClsact(j, m, n)
	} else {
		err = h.isolateNft(j, m, n)
	}
	if err != nil && !rtnl.IsInjectedCrash(err) {
		err = errors.Join(err, h.admit(j, m, n))
	}
	return &isolation{method: by}, err
}

// Unisolate lets the host's stack see the member's frames again.
func (h *Host) Unisolate(index int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endTCX(index)
	if h.journal == nil {
		return nil
	}
	n, err := h.nicAt(index)
	if errors.Is(err, ErrNoNIC) {
		return nil // filters and chains go with the NIC
	}
	if err != nil {
		return fmt.Errorf("end isolation: %w", err)
	}
	if m := h.journal.state.sameAs(n.Identity()); m != nil {
		return h.admit(h.journal, m, n)
	}
	return nil
}

func (h *Host) endTCX(index int) {
	if i := h.isolated[index]; i != nil {
		i.close()
		delete(h.isolated, index)
	}
}

// admit undoes a journalled isolation.
func (h *Host) admit(j *journal, m *memberState, n NIC) error {
	var err error
	switch m.method {
	case byClsact:
		err = h.dropFilter(n, isolateFilter, m.qdisc)
	case byNft:
		err = h.admitNft(n.Index)
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("end isolation of NIC %s: %w", n.Name, err)
	}
	return j.write(record{Kind: kindAdmit, No: m.no, Done: true})
}

// isolateTCX drops before programs of others: they shall not redirect what is not the host's. Only our own goes first.
func (h *Host) isolateTCX(n NIC) (*isolation, error) {
	p, err := isolator()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	where := link.Head()
	if a := h.attached[place{n.Index, ebpf.AttachTCXIngress}]; a != nil && a.link != nil && onNIC(a.link, n.Index) {
		where = link.AfterLink(a.link)
	}
	l, err := h.attachTCX(n, ebpf.AttachTCXIngress, p, where, 0)
	if err != nil {
		return nil, err
	}
	return &isolation{method: byTCX, link: l}, nil
}

// isolateClsact drops by a filter, which outlives the process.
func (h *Host) isolateClsact(j *journal, m *memberState, n NIC) error {
	p, err := isolator()
	if err != nil {
		return err
	}
	defer p.Close()
	return h.addFilter(n, isolateFilter, p, func(qdisc bool) error {
		return j.write(record{Kind: kindIsolate, No: m.no, Method: byClsact, Qdisc: qdisc})
	})
}
