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

// A name that is taken for one of ours is exactly that.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"socket-7", "map-0123-plans", "map-1-gates", "tap", "receive-", "map--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, kind := range []string{Socket, Groups, Isolation, Receive, Ring} {
			if index, ok := Index(name, kind); ok && (Of(kind, index) != name || index <= 0) {
				t.Errorf("%q has index %d", name, index)
			}
		}
		if layout, mapName, ok := Layout(name); ok && (Map(layout, mapName) != name || !IsMap(name)) {
			t.Errorf("%q is of map %q, layout %q", name, mapName, layout)
		}
	})
}
