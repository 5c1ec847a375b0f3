package host

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// HookHeld says that a program or filter of somebody else is where ours would take frames away from it.
type HookHeld struct {
	NIC  string
	Hook string // "ingress" or "egress"
	Who  string // such as: tcx program "cil_from_netdev" (id 12); tc filter "flower" pref 49152
}

func (e *HookHeld) Error() string {
	return fmt.Sprintf("%s of %s is held by %s", e.Hook, e.NIC, e.Who)
}

// vacant looks whether others are on a hook: in the list of tcx programs there (nil: it is asked for), or
// among the filters of clsact or of the older qdisc ingress. An empty qdisc is nobody.
func (h *Host) vacant(n NIC, at ebpf.AttachType, there *link.QueryResult) (err error) {
	held := &HookHeld{NIC: n.Name, Hook: hooks[at].name}
	if there == nil {
		if there, err = queryTCX(n.Index, at); err != nil {
			return fmt.Errorf("list programs: %w", err)
		}
	}
	for _, p := range there.Programs {
		if !h.ours(n, p) {
			held.Who = tcxProgram(p.ID)
			return held
		}
	}
	list, err := h.foreignFilters(n, at)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		held.Who = tcFilter(list[0])
		return held
	}
	return nil
}

// foreignFilters are the filters of others on a hook.
func (h *Host) foreignFilters(n NIC, at ebpf.AttachType) (foreign []netlink.Filter, err error) {
	l, err := h.rt.Handle.LinkByIndex(n.Index)
	if err != nil {
		return nil, err
	}
	kind, err := h.ingressQdisc(l)
	if err != nil {
		return nil, fmt.Errorf("list qdiscs: %w", err)
	}
	// Asked for egress, ingress would show what it has on ingress.
	if kind == "" || kind == ingressKind && at == ebpf.AttachTCXEgress {
		return nil, nil
	}
	list, err := h.filters(l, hooks[at].filter.parent)
	for _, f := range list {
		if !receiveFilter.is(f) && !transmitFilter.is(f) && !isolateFilter.is(f) {
			foreign = append(foreign, f)
		}
	}
	return foreign, err
}

// ours reports whether a program is on the NIC by a link of this process.
func (h *Host) ours(n NIC, p link.AttachedProgram) bool {
	id, ok := p.LinkID()
	if !ok {
		return false
	}
	is := func(l link.Link) bool {
		if l == nil {
			return false
		}
		info, err := l.Info()
		return err == nil && info.ID == id
	}
	if i := h.isolated[n.Index]; i != nil && is(i.link) {
		return true
	}
	for at, a := range h.attached {
		if at.index == n.Index && is(a.link) {
			return true
		}
	}
	return false
}

// tcxProgram names a program. Its name is only for those with CAP_SYS_ADMIN.
func tcxProgram(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err == nil {
		defer p.Close()
		if info, err := p.Info(); err == nil && info.Name != "" {
			return fmt.Sprintf("tcx program %q (id %d)", info.Name, id)
		}
	}
	return fmt.Sprintf("tcx program (id %d)", id)
}

func tcFilter(f netlink.Filter) string {
	s := fmt.Sprintf("tc filter %q pref %d", f.Type(), f.Attrs().Priority)
	if b, ok := f.(*netlink.BpfFilter); ok && b.Name != "" {
		s += fmt.Sprintf(", program %q (id %d)", b.Name, b.Id)
	}
	return s
}
