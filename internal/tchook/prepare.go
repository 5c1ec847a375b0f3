// SPDX-License-Identifier: MIT

package tchook

import (
	"errors"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// Attaching takes a grace period a NIC, one after the other; another program in an attached link takes nothing. So a
// start attaches a program that lets everything pass to all NICs, while it has other things to do, and Isolate puts the
// one that isolates in its place. Until then the store has no such link: with the process it is gone.

// prepared is a link on its way to the ingress of a NIC.
type prepared struct {
	done   chan struct{} // closed when link is set
	link   link.Link     // nil: not attached
	unused atomic.Bool
}

// Prepare begins to attach to these NICs what Isolate will need, and returns. The end of the process, of the isolation,
// or DropPrepared undo it.
func (h *Hooks) Prepare(links []Link) {
	if h.NoTCX || h.Method != "" && h.Method != ByTCX {
		return
	}
	p, err := passing()
	if err != nil {
		h.log.Debug("isolation is not prepared", "err", err)
		return
	}
	var list []*prepared
	var indices []int
	for _, l := range links {
		if h.isolated[l.Index] != nil || h.prepared[l.Index] != nil ||
			h.attached[hookPoint{l.Index, ebpf.AttachTCXIngress}] != nil {
			continue
		}
		one := &prepared{done: make(chan struct{})}
		h.prepared[l.Index] = one
		list, indices = append(list, one), append(indices, l.Index)
	}
	go func() {
		defer p.Close()
		var err error
		for i, one := range list {
			if !errors.Is(err, ebpf.ErrNotSupported) && !one.unused.Load() {
				one.link, err = link.AttachTCX(link.TCXOptions{Interface: indices[i], Program: p,
					Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
			}
			close(one.done)
		}
	}()
}

// takePrepared waits for the link that Prepare has for a NIC, and puts p in it. nil: there is none.
func (h *Hooks) takePrepared(index int, p *ebpf.Program) link.Link {
	one := h.prepared[index]
	if one == nil {
		return nil
	}
	delete(h.prepared, index)
	<-one.done
	if one.link == nil {
		return nil
	}
	if err := one.link.Update(p); err != nil { // its NIC is gone
		_ = one.link.Close()
		return nil
	}
	return one.link
}

// dropPrepared detaches what Prepare has for a NIC and Isolate has not used.
func (h *Hooks) dropPrepared(index int) {
	one := h.prepared[index]
	if one == nil {
		return
	}
	delete(h.prepared, index)
	one.unused.Store(true)
	<-one.done
	if one.link != nil {
		_ = one.link.Close()
	}
}

// DropPrepared detaches what Isolate has not used.
func (h *Hooks) DropPrepared() {
	for _, one := range h.prepared {
		one.unused.Store(true)
	}
	for index := range h.prepared {
		h.dropPrepared(index)
	}
}

// passing loads a program that leaves each frame to the next one.
func passing() (*ebpf.Program, error) {
	const next = -1 // TCX_NEXT
	return ebpf.NewProgram(&ebpf.ProgramSpec{Name: isolateFilter.name, Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, next), asm.Return()}})
}
