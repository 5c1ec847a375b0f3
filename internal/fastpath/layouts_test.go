// SPDX-License-Identifier: MIT

package fastpath

import (
	"maps"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"nicteam/internal/lab/labtest"
)

// Whatever changes in a map changes its fingerprint, and nothing else does.
func TestLayouts(t *testing.T) {
	load := func() *ebpf.CollectionSpec {
		spec, err := loadProgram()
		labtest.Must(t, err)
		return spec
	}
	want := layoutsOf(load())
	if got := layoutsOf(load()); !maps.Equal(got, want) {
		t.Fatalf("layouts %v, then %v", want, got)
	}
	value := func(s *ebpf.CollectionSpec, name string) *btf.Struct {
		return btf.UnderlyingType(s.Maps[name].Value).(*btf.Struct)
	}
	for name, tt := range map[string]struct {
		mapName string
		change  func(s *ebpf.CollectionSpec)
	}{
		"longer": {programMapStations, func(s *ebpf.CollectionSpec) { s.Maps[programMapStations].MaxEntries++ }},
		"flags":  {programMapAddresses, func(s *ebpf.CollectionSpec) { s.Maps[programMapAddresses].Flags = 0 }},
		"a field moved": {programMapControls, func(s *ebpf.CollectionSpec) {
			value(s, programMapControls).Members[1].Offset += 32
		}},
		"a field renamed": {programMapPlans, func(s *ebpf.CollectionSpec) {
			value(s, programMapPlans).Members[0].Name = "salt"
		}},
		"a field within a field": {programMapTxStates, func(s *ebpf.CollectionSpec) {
			flows := btf.UnderlyingType(value(s, programMapTxStates).Members[1].Type).(*btf.Struct)
			flows.Members[0].Type = &btf.Int{Size: 4}
		}},
	} {
		spec := load()
		tt.change(spec)
		for m, layout := range layoutsOf(spec) {
			if (layout != want[m]) != (m == tt.mapName) {
				t.Errorf("%s: map %s has %s, had %s", name, m, layout, want[m])
			}
		}
	}
	layoutVersion += "'"
	defer func() { layoutVersion = layoutVersion[:len(layoutVersion)-1] }()
	for m, layout := range layoutsOf(load()) {
		if layout == want[m] {
			t.Errorf("another version's map %s has %s, too", m, layout)
		}
	}
}
