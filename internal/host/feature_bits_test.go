// SPDX-License-Identifier: MIT

package host

import "testing"

// What is read equals what package ethtool reads.
func TestFeatureStates(t *testing.T) {
	h := newWorld(t).open(nil)
	for _, nic := range []string{"lo", "na"} {
		want, err := h.tool.FeaturesWithState(nic)
		must(t, err)
		got, err := h.featureStates(nic)
		must(t, err)
		if len(got) != len(want) || len(got) < 40 {
			t.Errorf("%s: %d features, want %d", nic, len(got), len(want))
		}
		for name, w := range want {
			if g := got[name]; g != (featureState{w.Available, w.Active, w.NeverChanged}) {
				t.Errorf("%s: %s is %+v, want %+v", nic, name, g, w)
			}
		}
	}
	if _, err := h.featureStates("nowhere"); err == nil {
		t.Error("a NIC that is not there has features")
	}
}
