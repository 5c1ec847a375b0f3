// SPDX-License-Identifier: MIT

package systest

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	tcx "github.com/cilium/ebpf/link"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// addVLANTags makes a host add these VLAN tags, the outer one first, to all that it sends by a device, and remove them
// from what it receives, until undo. It replaces VLAN devices, which this kernel may lack. Its transmit program runs
// first, as a VLAN device on top would.
func addVLANTags(t testing.TB, h *lab.Host, name string, tags []tag) (undo func()) {
	t.Helper()
	index := link(t, h, name).Index
	var push, pop asm.Instructions
	push = append(push, asm.Mov.Reg(asm.R6, asm.R1))
	pop = append(pop, asm.Mov.Reg(asm.R6, asm.R1))
	for i := len(tags) - 1; i >= 0; i-- {
		g := tags[i]
		push = append(push,
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, int32(g.TPID>>8|g.TPID&0xff<<8)), // big endian
			asm.Mov.Imm(asm.R3, int32(g.PCP<<13|g.VID)),
			asm.FnSkbVlanPush.Call())
		pop = append(pop, asm.Mov.Reg(asm.R1, asm.R6), asm.FnSkbVlanPop.Call())
	}
	var links []tcx.Link
	bodies := map[ebpf.AttachType]asm.Instructions{ebpf.AttachTCXEgress: push, ebpf.AttachTCXIngress: pop}
	for attach, body := range bodies {
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "Dual MIT/GPL",
			Instructions: append(body, asm.Mov.Imm(asm.R0, -1), asm.Return())}) // TCX_NEXT
		labtest.Must(t, err)
		labtest.Must(t, h.Do(func() error {
			l, err := tcx.AttachTCX(tcx.TCXOptions{Interface: index, Program: p, Attach: attach, Anchor: tcx.Head()})
			links = append(links, l)
			return err
		}))
		p.Close()
	}
	return func() {
		for _, l := range links {
			labtest.Check(t, l.Close())
		}
	}
}
