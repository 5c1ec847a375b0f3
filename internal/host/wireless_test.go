// SPDX-License-Identifier: MIT

package host

import (
	"net"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
	"nicteam/modes"
)

// TestUnfit: Wi-Fi and different speeds cause a warning in every mode but elb.
func TestUnfit(t *testing.T) {
	nics := []NIC{{Name: "eth1", SpeedBps: 1e9}, {Name: "eth2", SpeedBps: 25e8}, {Name: "eth3"},
		{Name: "wlan0", WiFi: true}}
	for _, tt := range []struct {
		mode    modes.Kind
		balance bool
		nics    []NIC
		want    []string
	}{
		{modes.ELB, true, nics, nil},
		{modes.ELB, false, nics, []string{"wlan0 is a Wi-Fi NIC", "eth1 1000 Mbit/s, eth2 2500 Mbit/s"}},
		{modes.XOR, true, nics, []string{"wlan0 is a Wi-Fi NIC", "eth1 1000 Mbit/s, eth2 2500 Mbit/s"}},
		{modes.XOR, true, nics[1:3], nil},
		{modes.XOR, true, nics[:2], []string{"modes that spread by hash"}},
		{modes.LACP, true, nics[:2], []string{"only ports of the same speed"}},
	} {
		c := &preflight{nics: tt.nics}
		c.cfg.Team, c.cfg.Mode, c.cfg.Balance = "team0", tt.mode, tt.balance
		got := c.unfitForMode()
		if len(got) != len(tt.want) {
			t.Errorf("%v, balance %v: %q, want about %q", tt.mode, tt.balance, got, tt.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("%v, balance %v: %q, want about %q", tt.mode, tt.balance, got[i], tt.want[i])
			}
		}
	}
}

// TestWired: other NICs are not taken for Wi-Fi.
func TestWired(t *testing.T) {
	newWorld(t)
	h, err := Open(Options{})
	labtest.Must(t, err)
	defer func() { _ = h.Close() }()
	for _, name := range []string{"lo", "na"} {
		i, err := net.InterfaceByName(name)
		labtest.Must(t, err)
		if h.wireless(name, i.Index) {
			t.Errorf("%s is taken for Wi-Fi", name)
		}
	}
	if h.wireless("none", 1<<30) {
		t.Error("a NIC that is not there is taken for Wi-Fi")
	}
}
