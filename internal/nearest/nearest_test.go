// SPDX-License-Identifier: MIT

package nearest

import (
	"strings"
	"testing"
)

func TestWord(t *testing.T) {
	for _, tt := range []struct {
		candidates string
		want       map[string]string
	}{
		{"eth0 eth1 wlan0 active-backup enp3s0",
			map[string]string{"eht0": "eth0", "wlan": "wlan0", "active-bakcup": "active-backup",
				"zzz": "", "": "", "ETH1": "eth1", "etho": "eth0", "enp3so": "enp3s0", "xyz": "",
				"x": "", "Активный": ""}},
		{"balance-rr 802.3ad 7 0 x xor", map[string]string{"blance-rr": "balance-rr", "balance": "balance-rr",
			"802.3da": "802.3ad",
			"8":       "", "xo": "xor", "teaming": "", strings.Repeat("x", 5000): ""}},
	} {
		for got, want := range tt.want {
			if w := Word(got, strings.Fields(tt.candidates)); w != want {
				t.Errorf("%.20q of %s: %q, want %q", got, tt.candidates, w, want)
			}
		}
	}
}

func TestHint(t *testing.T) {
	if h := Hint("mdoe", []string{"mode"}); h != `; did you mean "mode"?` {
		t.Error(h)
	}
	if h := Hint("zzz", []string{"mode"}); h != "" {
		t.Error(h)
	}
}
