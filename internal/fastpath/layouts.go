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
	all := make(map[string]string, len(spec.Maps))
	for name, m := range spec.Maps {
		if name == constantsMap {
			continue // each kernel and build has its own
		}
		h := fnv.New64a()
		fmt.Fprintln(h, layoutVersion, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
		writeLayout(h, m.Key)
		writeLayout(h, m.Value)
		all[name] = fmt.Sprintf("%016x", h.Sum64())
	}
	return all
}

// constantsMap has the constants that Go sets before programs are loaded.
const constantsMap = ".rodata"

// gatesLayout is part of the stored names of controls and members. It says where any build finds the gates of programs
// of another one, to take their frames back: in controls that of transmission at 0, those of what members receive at
// 20, each of 4 bytes; in members, from ifindex to gate. A build with another one cannot, and loses frames.
const gatesLayout = "2"

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

// maps yields the programs' maps, with the names under which they are stored.
func (k *kernel) maps(yield func(stored string, m *ebpf.Map) bool) {
	o := &k.programMaps
	for _, x := range []struct {
		name string
		m    *ebpf.Map
	}{
		{programMapAddresses, o.Addresses}, {programMapControls, o.Controls}, {programMapCpuStates, o.CpuStates},
		{programMapMembers, o.Members}, {programMapPlans, o.Plans}, {programMapRecentLocal, o.RecentLocal},
		{programMapReports, o.Reports}, {programMapRings, o.Rings}, {programMapRxBytes, o.RxBytes},
		{programMapStations, o.Stations}, {programMapTxStates, o.TxStates},
	} {
		if !yield(descriptors.Map(k.layouts[x.name], withGates(x.name)), x.m) {
			return
		}
	}
}

// withGates returns the name of a map, with gatesLayout if any build must find it.
func withGates(name string) string {
	if name == programMapControls || name == programMapMembers {
		return name + "." + gatesLayout
	}
	return name
}

// store keeps all maps for the next process. If the store is full, that process takes the frames back to the relay.
func (k *kernel) store(s descriptors.Store) {
	for name, m := range k.maps {
		_ = s.Put(name, m.FD())
	}
}

func (k *kernel) unstore(s descriptors.Store) {
	for name := range k.maps {
		_ = s.Remove(name)
	}
}
