// SPDX-License-Identifier: MIT

package managers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServedBy(t *testing.T) {
	nics := []NIC{{"eth1", 2}, {"eth2", 3}, {"eth3", 4}, {"team0", 5}, {"eth9", 9}}
	b, f, _ := startNM(t)
	f.devices["eth3"] = &fakeDevice{managed: false, state: 10}
	want := map[string]string{"eth1": "NetworkManager", "eth2": "NetworkManager"} // it only looks on at team0
	if diff := cmp.Diff(want, ServedBy(t.Context(), Options{Bus: b.socket, Root: t.TempDir()}, nics)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d, _ := startNetworkd(t)
	d.serves(4, "")
	want = map[string]string{"eth1": "systemd-networkd"}
	if diff := cmp.Diff(want, ServedBy(t.Context(), Options{Bus: d.bus.socket, Root: d.root}, []NIC{nics[0], nics[2],
		nics[4]})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := ServedBy(t.Context(), Options{Bus: t.TempDir() + "/none"}, nics); len(got) != 0 {
		t.Errorf("without a bus: %v", got)
	}
}
