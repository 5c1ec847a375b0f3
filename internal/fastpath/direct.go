// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// direct are maps with one entry, whose address programs have as a constant: ENTRY of bpf/layout.h. To look it up would
// take a dozen instructions for each frame and map. A map keeps its name, type and layout.
var direct = []string{programMapControls, programMapPlans, programMapTxStates}

// makeDirect makes programs load the addresses of entries where they have been compiled to load the maps'.
func makeDirect(spec *ebpf.CollectionSpec) {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			if ins.IsLoadFromMap() && slices.Contains(direct, ins.Reference()) {
				ins.Src = asm.PseudoMapValue
			}
		}
	}
}
