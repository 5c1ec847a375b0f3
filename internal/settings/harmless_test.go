// SPDX-License-Identifier: MIT

package settings

import "testing"

func TestHarmless(t *testing.T) {
	for _, key := range harmless {
		if Find(key) == nil {
			t.Errorf("there is no setting %s", key)
		}
	}
	for typed, want := range map[string]bool{"weight.eth1": true, "updelay": true, "mode": false, "lacp_rate": false} {
		if got := Harmless(map[string]string{"gain": "1ms", typed: "1"}); got != want {
			t.Errorf("a change of gain and %s is harmless: %v", typed, got)
		}
	}
}
