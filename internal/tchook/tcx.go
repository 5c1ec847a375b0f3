// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"nicteam/internal/descriptors"
)

// tcxLink is a program attached by tcx. It ends with the last descriptor of its link, and the store has one too: so
// that it ends for good, it is detached.
type tcxLink struct {
	link.Link
	store     descriptors.Store
	name      string
	inherited bool // it has the program of the process before
	ended     bool
}

// storeLink stores a new link under a name.
func (h *Hooks) storeLink(l link.Link, name string) *tcxLink {
	if d, ok := l.(interface{ FD() int }); ok {
		if err := h.Store.Put(name, d.FD()); err != nil {
			h.log.Warn("descriptor not stored: a next process attaches the program anew", "name", name, "err", err)
		}
	}
	return &tcxLink{Link: l, store: h.Store, name: name}
}

// end detaches the program. nil is fine.
func (l *tcxLink) end() {
	if l == nil || l.ended {
		return
	}
	l.ended = true
	_ = l.Detach() // the NIC may be gone, and the link with it
	_ = l.store.Remove(l.name)
	_ = l.Close()
}

// handOver closes this process's descriptor. nil is fine.
func (l *tcxLink) handOver() {
	if l != nil {
		_ = l.Close()
	}
}

// on reports whether the link is still on the NIC. It vanishes with the NIC, and another NIC may get the ifindex.
func (l *tcxLink) on(index int) bool {
	if l.ended {
		return false
	}
	info, err := l.Info()
	return err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == index
}

// elsewhere reports whether the link has moved, with its NIC, to another namespace and has another ifindex there.
func (l *tcxLink) elsewhere(index int) bool {
	if l.ended {
		return true
	}
	info, err := l.Info()
	if err != nil || info.TCX() == nil {
		return false
	}
	at := int(info.TCX().Ifindex)
	return at != 0 && at != index
}

// rename stores the link under another name.
func (l *tcxLink) rename(name string) {
	if d, ok := l.Link.(interface{ FD() int }); !ok || name == l.name || l.store.Put(name, d.FD()) != nil {
		return // the next process finds it by the name that it has
	}
	_ = l.store.Remove(l.name)
	l.name = name
}

// replace puts p in the place of the program of the process before, with no frame between the two.
func (l *tcxLink) replace(p *ebpf.Program) error {
	if err := l.Update(p); err != nil {
		return fmt.Errorf("replace program: %w", err)
	}
	l.inherited = false
	return nil
}

// inherit takes the links that the process before left. Their programs go on until Attach replaces them, or Isolate.
// Links that are gone from their NIC are dropped.
func (h *Hooks) inherit() {
	for _, name := range h.Store.Names() {
		h.filtersStay = h.filtersStay || descriptors.IsMap(name)
		index, at := 0, ebpf.AttachTCXIngress
		isolates := false
		switch i, ok := descriptors.Index(name, descriptors.Isolation); {
		case ok:
			index, isolates = i, true
		case name == descriptors.Transmit:
			at = ebpf.AttachTCXEgress
		default:
			if index, ok = descriptors.Index(name, descriptors.Receive); !ok {
				continue
			}
		}
		fd, ok := h.Store.Take(name)
		if !ok {
			continue
		}
		l, err := h.inheritLink(fd, name, &index, at)
		switch {
		case err != nil:
			h.log.Warn("program of the process before is not attached any more", "name", name, "err", err)
		case isolates:
			h.isolated[index] = &isolation{method: ByTCX, link: l}
		default:
			to := hookPoint{index, at}
			h.attached[to] = &Attached{at: to, link: l}
		}
	}
}

// inheritLink makes fd a link that is on the NIC, by the hook at. index 0: whichever NIC it is on. fd is h's.
func (h *Hooks) inheritLink(fd int, name string, index *int, at ebpf.AttachType) (*tcxLink, error) {
	ln, err := link.NewFromFD(fd)
	if err != nil {
		return nil, errors.Join(err, h.Store.Remove(name))
	}
	l := &tcxLink{Link: ln, store: h.Store, name: name, inherited: true}
	info, err := ln.Info()
	switch {
	case err != nil:
	case info.TCX() == nil:
		err = errors.New("it is no tcx link")
	case info.TCX().Ifindex == 0:
		err = errors.New("its NIC is gone")
	case *index != 0 && int(info.TCX().Ifindex) != *index:
		err = fmt.Errorf("it is on the NIC with ifindex %d", info.TCX().Ifindex)
	case ebpf.AttachType(info.TCX().AttachType) != at:
		err = errors.New("it is on another hook")
	}
	if err != nil {
		l.end()
		return nil, err
	}
	*index = int(info.TCX().Ifindex)
	return l, nil
}

// Inherited reports whether a hook has a program of the process before, which Attach replaces in place. Of a member it
// may be one that only isolates.
func (h *Hooks) Inherited(index int, at ebpf.AttachType) bool {
	if a := h.attached[hookPoint{index, at}]; a != nil {
		return a.link != nil && a.link.inherited && a.link.on(index)
	}
	if h.inheritedIsolation(index, at) != nil {
		return true
	}
	return h.inheritedFilter(index, at) != nil
}

// inheritedIsolation returns the isolation by the process before, in whose link may be its program of that hook, nil if
// there is none.
func (h *Hooks) inheritedIsolation(index int, at ebpf.AttachType) *isolation {
	i := h.isolated[index]
	if at != ebpf.AttachTCXIngress || i == nil || i.link == nil || !i.link.inherited || !i.holds(index) {
		return nil
	}
	return i
}

// inheritedFilter returns the filter of the process before that is on a hook, nil if there is none.
func (h *Hooks) inheritedFilter(index int, at ebpf.AttachType) netlink.Filter {
	if !h.filtersStay {
		return nil
	}
	nl, err := h.conn.Handle.LinkByIndex(index)
	if err != nil {
		return nil
	}
	f, _ := h.findFilter(nl, hooks[at].filter) // what cannot be listed is not found
	return f
}

// FiltersStay reports whether filters of the process before go on: the memory of their programs is in the store.
func (h *Hooks) FiltersStay() bool { return h.filtersStay }

// DetachInherited detaches such a program, if there is one. Only a filter needs j.
func (h *Hooks) DetachInherited(l Link, at ebpf.AttachType, j func() (Journal, error)) error {
	to := hookPoint{l.Index, at}
	switch i := h.inheritedIsolation(l.Index, at); {
	case h.attached[to] != nil && h.Inherited(l.Index, at):
		h.end(h.attached[to])
		delete(h.attached, to)
	case h.attached[to] == nil && i != nil:
		h.isolateAgain(i, l.Index)
	case h.attached[to] == nil && h.inheritedFilter(l.Index, at) != nil:
		journal, err := j()
		if err != nil {
			return err
		}
		return h.detachFilter(l, hooks[at].name, journal)
	}
	return nil
}

// DropInherited detaches the data path's programs of the process before that Attach has not replaced; those in the link
// of the isolation give way to the one that only isolates. With isolation it also detaches what isolates NICs, or is
// prepared to, for which nobody has called Isolate. Filters are the caller's to detach.
func (h *Hooks) DropInherited(isolation bool) {
	h.filtersStay = false
	if isolation {
		h.DropPrepared()
	}
	for at, a := range h.attached {
		if a.link != nil && a.link.inherited {
			h.end(a)
			delete(h.attached, at)
		}
	}
	for index, i := range h.isolated {
		switch {
		case i.link == nil:
		case isolation && !i.wanted:
			h.EndIsolation(index)
		case i.link.inherited:
			h.isolateAgain(i, index)
		}
	}
}
