// SPDX-License-Identifier: MIT

package fastpath

import (
	"fmt"
	"hash/fnv"
	"io"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"nicteam/internal/descriptors"
)

// layoutVersion is raised when the meaning of a field changes and its place does not: of spread.TxState, or of what
// programs and Go note in maps. Tests build another version of it.
var layoutVersion = "1"

// layoutsOf returns a fingerprint of each map: of its type, sizes and the names, places and types of all fields. A
// program can use the map of another build if both are equal.
func layoutsOf(spec *ebpf.CollectionSpec) map[string]string {
	all := make(map[string]string, len(spec.Maps)+2)
	for name, m := range spec.Maps {
		h := fnv.New64a()
		fmt.Fprintln(h, layoutVersion, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
		writeLayout(h, m.Key)
		writeLayout(h, m.Value)
		all[name] = fmt.Sprintf("%016x", h.Sum64())
	}
	all[gates], all[gateIDs] = gatesLayout, gatesLayout
	return all
}

// What any build must find of programs of another one, to take their frames back, is stored under names of its own: the
// gates, which are in the memory of controls, and the map of members, from ifindex to gate.
const (
	gates   = "gates"
	gateIDs = "gate_ids"
)

// gatesLayout says where the gates are: of transmission at 0, of what members receive at 20, each of 4 bytes. Builds with another layout are not interoperable: frames are lost when one follows the other.
const gatesLayout = "1"

var _ [0]struct{} = [unsafe.Offsetof(programControl{}.TransmitGate)]struct{}{}
var _ [20]struct{} = [unsafe.Offsetof(programControl{}.ReceiveGate)]struct{}{}

// writeLayout writes what the layout of t consists of. The types have no pointers, so that this ends.
func writeLayout(w io.Writer, t btf.Type) {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		fmt.Fprintln(w, "struct", t.Size, len(t.Members))
		for _, m := range t.Members {
			fmt.Fprintln(w, m.Name, m.Offset)
			writeLayout(w, m.Type)
		}
	case *btf.Array:
		fmt.Fprintln(w, "array", t.Nelems)
		writeLayout(w, t.Type)
	case *btf.Int:
		fmt.Fprintln(w, "int", t.Size, t.Encoding)
	case nil, *btf.Void:
		fmt.Fprintln(w, "none")
	default:
		fmt.Fprintf(w, "%T %v\n", t, t)
	}
}

// maps yields the programs' maps by the names under which they are stored.
func (k *kernel) maps(yield func(name string, m *ebpf.Map) bool) {
	o := &k.programMaps
	for _, x := range []struct {
		name string
		m    *ebpf.Map
	}{
		{programMapAddresses, o.Addresses}, {programMapControls, o.Controls}, {programMapCpuStates, o.CpuStates},
		{programMapMembers, o.Members}, {programMapMoved, o.Moved}, {programMapPlans, o.Plans},
		{programMapRecentLocal, o.RecentLocal}, {programMapRxBytes, o.RxBytes}, {programMapStations, o.Stations},
		{programMapTxStates, o.TxStates}, {gates, o.Controls}, {gateIDs, o.Members},
	} {
		if !yield(x.name, x.m) {
			return
		}
	}
}

// store keeps all maps for the next process. If the store is full, that process takes the frames back to the relay.
func (k *kernel) store(s descriptors.Store) {
	for name, m := range k.maps {
		_ = s.Put(descriptors.Map(k.layouts[name], name), m.FD())
	}
}

func (k *kernel) unstore(s descriptors.Store) {
	for name := range k.maps {
		_ = s.Remove(descriptors.Map(k.layouts[name], name))
	}
}
