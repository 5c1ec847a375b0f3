// SPDX-License-Identifier: MIT

package descriptors

import "testing"

func TestIndexOfName(t *testing.T) {
	for name, want := range map[string]int{
		"socket-7": 7, "socket-0": 0, "socket--7": 0, "socket-07": 0, "socket-": 0, "socket": 0, "groups-7": 0,
		"socket-7x": 0, "socket-99999999999999999999": 0, "socket-+7": 0,
	} {
		if got, ok := Index(name, Socket); ok != (want != 0) || ok && got != want {
			t.Errorf("%s: %d, %v, want %d", name, got, ok, want)
		}
	}
}

func TestMapName(t *testing.T) {
	fingerprint, name, ok := Layout(Map("0123abc", "tx_states"))
	if !ok || fingerprint != "0123abc" || name != "tx_states" {
		t.Errorf("got %q, %q, %v", fingerprint, name, ok)
	}
	for _, bad := range []string{"map-", "map-x", "map--x", "map-x-", "tap", "maps-x-y"} {
		if _, _, ok := Layout(bad); ok {
			t.Errorf("%q is taken for a map's name", bad)
		}
	}
}
