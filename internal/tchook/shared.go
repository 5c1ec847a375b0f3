// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
)

// To attach a program by tcx and to detach it takes a grace period under the kernel's configuration lock, some
// milliseconds in which nobody else on the host changes a NIC. Another program in an attached link takes nothing. So a
// member's ingress has one link: the isolation's, in which a program that isolates too takes the place of the one that
// does nothing else. At each moment one of the two is there. Both isolations are the same code.
//
// A next process cannot tell which of them a link has, since only CAP_SYS_ADMIN may read that. It need not: while the
// gate of a member says that programs receive for it, it is the data path's, else both do the same. Isolate leaves it
// in place, until Attach or DetachInherited replaces it, or the start ends (DropInherited).
//
// Members have two links where they were made so: by a process of an earlier build, or by programs that do not isolate.

// Program is a tc program.
type Program struct {
	*ebpf.Program
	Isolates bool // what it lets pass, as the isolation does
}

// shares reports whether a program is in the isolation's link.
func (h *Hooks) shares(a *Attached) bool {
	i := h.isolated[a.at.index]
	return a.at.hook == ebpf.AttachTCXIngress && a.link != nil && i != nil && i.link == a.link
}

// takePlace puts a program in the place of the isolation, if there is one by tcx. False: there is none.
func (h *Hooks) takePlace(a *Attached, l Link, p Program) (done bool, err error) {
	i := h.isolated[l.Index]
	if a.at.hook != ebpf.AttachTCXIngress || !p.Isolates || i == nil || !i.holds(l.Index) {
		return false, nil
	}
	there, err := queryTCX(l.Index, a.at.hook)
	if err != nil {
		return true, fmt.Errorf("list programs: %w", err)
	}
	if err := h.checkFree(l, a.at.hook, there); err != nil {
		return true, err
	}
	if err := h.conn.FaultPoint("replace tcx on " + l.Name); err != nil {
		return true, err
	}
	i.open = false
	if err := i.link.replace(p.Program); err != nil {
		if errors.Is(err, unix.ENOLINK) {
			err = unix.ENODEV
		}
		return true, err
	}
	a.link = i.link
	// Another program that came since the query would see no frame any more.
	if there, err = queryTCX(l.Index, a.at.hook); err == nil {
		err = h.checkNoOther(l, a.at.hook, there)
	}
	if err != nil {
		h.isolateAgain(i, l.Index)
	}
	return true, err
}

// share makes the link of a program that isolates the isolation's. False: there is no such program.
func (h *Hooks) share(l Link) bool {
	a := h.attached[hookPoint{l.Index, ebpf.AttachTCXIngress}]
	if a == nil || !a.isolates || a.link == nil || !a.link.on(l.Index) {
		return false
	}
	a.link.rename(descriptors.Of(descriptors.Isolation, l.Index))
	h.isolated[l.Index] = &isolation{method: ByTCX, link: a.link, wanted: true}
	return true
}

// isolateAgain puts the program that only isolates into its link.
func (h *Hooks) isolateAgain(i *isolation, index int) {
	p, err := h.isolation()
	if err == nil {
		err = i.link.replace(p)
		i.open = false
	}
	if err != nil && i.holds(index) { // else its NIC is gone
		h.log.Warn("another program of the team goes on isolating", "ifindex", index, "err", err)
	}
}

// end takes an attached program off its hook, unless it is a filter.
func (h *Hooks) end(a *Attached) {
	if h.shares(a) {
		h.isolateAgain(h.isolated[a.at.index], a.at.index)
		return
	}
	a.link.end()
}

// Open lets the host's stack receive from NICs whose isolation by tcx is about to end, at once: to detach takes a grace
// period a NIC, in which the last of many would wait for all others.
func (h *Hooks) Open(indices []int) {
	p, err := passing()
	if err != nil {
		h.log.Debug("isolation ends a moment later", "err", err)
		return
	}
	defer p.Close()
	for _, index := range indices {
		if i := h.isolated[index]; i != nil && i.link != nil {
			i.open = i.link.replace(p) == nil // the NIC may be gone
		}
	}
}
