package host

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// place is where a program is attached.
type place struct {
	index int // of the NIC
	hook  ebpf.AttachType
}

// hook is one of the two places on a NIC that a team's data path needs.
type hook struct {
	name   string
	filter filter // where there is no tcx
}

var hooks = map[ebpf.AttachType]hook{
	ebpf.AttachTCXIngress: {"ingress", receiveFilter},
	ebpf.AttachTCXEgress:  {"egress", transmitFilter},
}

// attached is a program as this process holds it. It is the Closer that Attach returns.
type attached struct {
	h    *Host
	at   place
	no   int       // of the member, 0: the adapter
	link link.Link // tcx; nil: a filter
}

// Attach puts a tc program ahead of everything on a hook, AttachTCXIngress or AttachTCXEgress, of a recorded member
// or of the adapter: by tcx, which ends with the process, or where the kernel has none by clsact, journalled. "Next" is −1
// for the program in both. The member's isolation stays and comes behind it, whichever is first. Where a program or filter
// of somebody else is on the hook the error is a *HookHeld: they would no longer see the frames that ours takes. On an error nothing
// is changed; WhyNoPrograms says it in short.
//
// The program may be closed afterwards. Closing what is returned takes it off the hook, as do the release of its NIC and
// the end of the team; closing again, or when the NIC is gone, is fine.
func (h *Host) Attach(index int, at ebpf.AttachType, p *ebpf.Program) (io.Closer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k, ok := hooks[at]
	if !ok {
		return nil, fmt.Errorf("attach program: %v is no hook of tc", at)
	}
	n, err := h.nicAt(index)
	if err != nil {
		return nil, fmt.Errorf("attach program: %w", err)
	}
	a, err := h.attach(n, at, p)
	var held *HookHeld
	if errors.As(err, &held) {
		return nil, held
	}
	if err != nil {
		return nil, fmt.Errorf("attach program to %s of %s: %w", k.name, n.Name, err)
	}
	h.attached[a.at] = a
	h.log.Debug("program attached", "nic", n.Name, "hook", k.name, "tcx", a.link != nil)
	return a, nil
}

func (h *Host) attach(n NIC, at ebpf.AttachType, p *ebpf.Program) (*attached, error) {
	j, err := h.begun()
	if err != nil {
		return nil, err
	}
	a := &attached{h: h, at: place{n.Index, at}}
	kept, ok := h.hookable(j, n, &a.no)
	if !ok {
		return nil, errors.New("it is no recorded member and not the adapter")
	}
	if old := h.attached[a.at]; old != nil {
		if old.holds(n) {
			return nil, errors.New("a program of this team is there already")
		}
		old.close()
		delete(h.attached, a.at)
	}
	if h.o.method != byClsact {
		a.link, err = h.headTCX(n, at, p)
		// A filter would never see what the isolation has dropped by tcx.
		i := h.isolated[n.Index]
		if err == nil || !errors.Is(err, ebpf.ErrNotSupported) || h.o.method == byTCX || i != nil && i.method == byTCX {
			return a, err
		}
	}
	if err := h.vacant(n, at, nil); err != nil {
		return nil, err
	}
	name := hooks[at].name
	if slices.Contains(kept.hooks, name) {
		if err := h.unhook(j, a.no, kept, name, n); err != nil {
			return nil, err
		}
	}
	err = h.addFilter(n, hooks[at].filter, p, func(qdisc bool) error {
		return j.write(record{Kind: kindHook, No: a.no, Hook: name, Qdisc: qdisc})
	})
	if err != nil && !rtnl.IsInjectedCrash(err) {
		err = errors.Join(err, h.unhook(j, a.no, kept, name, n))
	}
	return a, err
}

// headTCX attaches at the head of a hook that nobody else has.
func (h *Host) headTCX(n NIC, at ebpf.AttachType, p *ebpf.Program) (link.Link, error) {
	for {
		there, err := queryTCX(n.Index, at)
		if err != nil {
			return nil, fmt.Errorf("list programs: %w", err)
		}
		if err := h.vacant(n, at, there); err != nil {
			return nil, err
		}
		l, err := h.attachTCX(n, at, p, link.Head(), there.Revision)
		if !errors.Is(err, unix.ESTALE) {
			return l, err
		}
		// Somebody attached between the look and this.
	}
}

// hookable finds what the journal keeps of a NIC's hooks, and the number of the member that it is.
func (h *Host) hookable(j *journal, n NIC, no *int) (*clsactState, bool) {
	if a := j.state.adapter; a != nil && a.Index == n.Index && n.Kind == "tun" {
		return &j.state.onTAP, true
	}
	m := j.state.sameAs(n.Identity())
	if m == nil || m.left {
		return nil, false
	}
	*no = m.no
	return &m.clsactState, true
}

// holds reports whether the program is still on the NIC.
func (a *attached) holds(n NIC) bool {
	if a.link != nil {
		return onNIC(a.link, n.Index)
	}
	l, err := a.h.rt.Handle.LinkByIndex(n.Index)
	if err != nil {
		return false
	}
	f, err := a.h.findFilter(l, hooks[a.at.hook].filter)
	return err == nil && f != nil
}

// close ends what a descriptor holds.
func (a *attached) close() {
	if a.link != nil {
		a.link.Close()
	}
}

// Close takes the program off its hook.
func (a *attached) Close() error {
	a.h.mu.Lock()
	defer a.h.mu.Unlock()
	return a.h.detach(a)
}

func (h *Host) detach(a *attached) error {
	if h.attached[a.at] != a {
		return nil
	}
	if a.link == nil {
		if err := h.detachFilter(a); err != nil {
			return fmt.Errorf("detach program: %w", err)
		}
	}
	a.close()
	delete(h.attached, a.at)
	return nil
}

func (h *Host) detachFilter(a *attached) error {
	j, err := h.begun()
	if err != nil {
		return err
	}
	name := hooks[a.at.hook].name
	n, err := h.nicAt(a.at.index)
	if err != nil && !errors.Is(err, ErrNoNIC) {
		return err
	}
	no := 0
	kept, ok := h.hookable(j, n, &no)
	if err != nil || !ok || no != a.no {
		// The filter went with the NIC, even if another has its index.
		return j.write(record{Kind: kindUnhook, No: a.no, Hook: name, Done: true})
	}
	return h.unhook(j, no, kept, name, n)
}

// unhook undoes a journalled attachment.
func (h *Host) unhook(j *journal, no int, kept *clsactState, name string, n NIC) error {
	for _, k := range hooks {
		if k.name != name {
			continue
		}
		if err := h.dropFilter(n, k.filter, kept.qdisc); err != nil {
			return fmt.Errorf("take program off %s of NIC %s: %w", name, n.Name, err)
		}
	}
	return j.write(record{Kind: kindUnhook, No: no, Hook: name, Done: true})
}

// vacate takes all programs of the team off a NIC, those of this process and those of one that was killed.
func (h *Host) vacate(j *journal, no int, kept *clsactState, n NIC) error {
	h.endPrograms(n.Index)
	var errs []error
	for _, name := range slices.Clone(kept.hooks) {
		if err := h.unhook(j, no, kept, name, n); err != nil {
			if rtnl.IsInjectedCrash(err) {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// endPrograms forgets the programs on a NIC; those by tcx end.
func (h *Host) endPrograms(index int) {
	for at, a := range h.attached {
		if at.index == index {
			a.close()
			delete(h.attached, at)
		}
	}
}

// vacateAdapter is vacate for the adapter.
func (h *Host) vacateAdapter(j *journal) error {
	a, ok := h.adapter()
	if !ok {
		return nil // gone, and what was on it
	}
	return h.vacate(j, 0, &j.state.onTAP, a)
}

// sweep takes away the programs that a process of this team left on hooks when it was killed. Its memory is gone,
// so nobody tells them any more what has changed.
func (h *Host) sweep() error {
	j := h.journal
	var errs []error
	for _, m := range j.state.members {
		if len(m.hooks) == 0 {
			continue
		}
		_, n, err := h.link(m)
		if errors.Is(err, ErrNoNIC) {
			continue
		}
		if err == nil {
			err = h.vacate(j, m.no, &m.clsactState, n)
		}
		errs = append(errs, err)
	}
	if len(j.state.onTAP.hooks) > 0 {
		errs = append(errs, h.vacateAdapter(j))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clear hooks: %w", err)
	}
	return nil
}
