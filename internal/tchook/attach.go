// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/rtnl"
)

// hookPoint is a hook of one NIC.
type hookPoint struct {
	index int // ifindex
	hook  ebpf.AttachType
}

// hook is one of the two hooks that a data path uses.
type hook struct {
	name   string
	filter filter // on kernels without tcx
}

var hooks = map[ebpf.AttachType]hook{
	ebpf.AttachTCXIngress: {"ingress", receiveFilter},
	ebpf.AttachTCXEgress:  {"egress", transmitFilter},
}

// HookName returns "ingress" or "egress".
func HookName(at ebpf.AttachType) string { return hooks[at].name }

// Attached is a program that this process attached.
type Attached struct {
	at       hookPoint
	link     *tcxLink // nil: a filter; perhaps the isolation's, too
	isolates bool
}

// Index returns the ifindex of its link.
func (a *Attached) Index() int { return a.at.index }

// ByFilter reports whether it is a clsact filter, which outlives the process.
func (a *Attached) ByFilter() bool { return a.link == nil }

// Attach puts a tc program first on a hook (AttachTCXIngress or AttachTCXEgress): by tcx, on older kernels by clsact,
// journalled. It replaces a program of the process before in place, and one that isolates takes the place of the
// isolation (shared.go). Otherwise the isolation stays behind it, whichever comes first. If another program or filter
// is on the hook the error is a *HookHeld, because it would no longer see the frames that ours takes. On an error
// nothing is changed; WhyNoPrograms explains it. The caller may close p afterwards.
func (h *Hooks) Attach(l Link, at ebpf.AttachType, p Program, j Journal) (*Attached, error) {
	k, ok := hooks[at]
	if !ok {
		return nil, fmt.Errorf("attach program: %v is not a tc hook", at)
	}
	h.AwaitDetached() // it may be on this hook
	a, err := h.attach(l, at, p, j)
	var held *HookHeld
	if errors.As(err, &held) {
		return nil, held
	}
	if err != nil {
		return nil, fmt.Errorf("attach program to %s of %s: %w", k.name, l.Name, err)
	}
	h.attached[a.at] = a
	h.log.Debug("program attached", "nic", l.Name, "hook", k.name, "tcx", a.link != nil)
	return a, nil
}

func (h *Hooks) attach(l Link, at ebpf.AttachType, p Program, j Journal) (_ *Attached, err error) {
	a := &Attached{at: hookPoint{l.Index, at}, isolates: p.Isolates}
	if old := h.attached[a.at]; old != nil {
		if h.Inherited(l.Index, at) {
			old.isolates = p.Isolates
			return old, old.link.replace(p.Program)
		}
		if h.holds(old, l) {
			return nil, errors.New("a program of this team is there already")
		}
		h.end(old)
		delete(h.attached, a.at)
	}
	if f := h.inheritedFilter(l.Index, at); f != nil {
		return a, h.replaceFilter(f, p.Program)
	}
	if done, err := h.takePlace(a, l, p); done {
		return a, err
	}
	if h.Method != ByClsact {
		a.link, err = h.headTCX(l, at, p.Program)
		// A clsact filter never sees what isolation by tcx has dropped.
		i := h.isolated[l.Index]
		if err == nil || !errors.Is(err, ebpf.ErrNotSupported) || h.Method == ByTCX || i != nil && i.method == ByTCX {
			return a, err
		}
	}
	if err := h.checkFree(l, at, nil); err != nil {
		return nil, err
	}
	name := hooks[at].name
	if slices.Contains(j.Recorded().Hooks, name) {
		if err := h.detachFilter(l, name, j); err != nil {
			return nil, err
		}
	}
	err = h.addFilter(l, hooks[at].filter, p.Program, func(clsact bool) error { return j.Attaching(name, clsact) })
	if err != nil && !rtnl.IsInjectedCrash(err) {
		err = errors.Join(err, h.detachFilter(l, name, j))
	}
	return a, err
}

// headTCX attaches at the head of a hook that holds no other program.
func (h *Hooks) headTCX(l Link, at ebpf.AttachType, p *ebpf.Program) (*tcxLink, error) {
	name := descriptors.Transmit
	if at == ebpf.AttachTCXIngress {
		name = descriptors.Of(descriptors.Receive, l.Index)
	}
	for {
		there, err := queryTCX(l.Index, at)
		if err != nil {
			return nil, fmt.Errorf("list programs: %w", err)
		}
		if err := h.checkFree(l, at, there); err != nil {
			return nil, err
		}
		tcx, err := h.attachTCX(l, at, p, link.Head(), there.Revision, name)
		if !errors.Is(err, unix.ESTALE) {
			return tcx, err
		}
		// Another program was attached since the query.
	}
}

// holds reports whether the program is still on the NIC.
func (h *Hooks) holds(a *Attached, l Link) bool {
	if a.link != nil {
		return a.link.on(l.Index)
	}
	nl, err := h.conn.Handle.LinkByIndex(l.Index)
	if err != nil {
		return false
	}
	f, err := h.findFilter(nl, hooks[a.at.hook].filter)
	return err == nil && f != nil
}

// Holds reports whether the program is still attached as far as this process knows.
func (h *Hooks) Holds(a *Attached) bool { return h.attached[a.at] == a }

// Detach takes the program off its hook. gone says that its link is gone, even if another link has the ifindex. Only a
// filter needs l and j.
func (h *Hooks) Detach(a *Attached, l Link, gone bool, j Journal) (err error) {
	name := hooks[a.at.hook].name
	switch {
	case !h.Holds(a):
		return nil
	case a.ByFilter() && gone: // the filter went with the link
		err = j.Detached(name)
	case a.ByFilter():
		err = h.detachFilter(l, name, j)
	}
	if err != nil {
		return fmt.Errorf("detach program: %w", err)
	}
	h.end(a)
	delete(h.attached, a.at)
	return nil
}

// detachFilter removes a journalled filter.
func (h *Hooks) detachFilter(l Link, name string, j Journal) error {
	for _, k := range hooks {
		if k.name != name {
			continue
		}
		if err := h.dropFilter(l, k.filter, j.Recorded().Clsact); err != nil {
			return fmt.Errorf("detach program from %s of NIC %s: %w", name, l.Name, err)
		}
	}
	return j.Detached(name)
}

// DetachAll takes all programs of the team off a link, including those of a killed process. The isolation stays.
func (h *Hooks) DetachAll(l Link, j Journal) error {
	h.Forget(l.Index)
	var errs []error
	for _, name := range slices.Clone(j.Recorded().Hooks) {
		if err := h.detachFilter(l, name, j); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Forget drops the programs of a link: tcx links are closed, filters stay, and so does the isolation.
func (h *Hooks) Forget(index int) {
	for at, a := range h.attached {
		if at.index == index {
			h.end(a)
			delete(h.attached, at)
		}
	}
}
