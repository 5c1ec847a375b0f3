// SPDX-License-Identifier: MIT

package host

import (
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// TestCheckNewWatches: the adapter's own addresses and those of nobody are refused; what is on no subnet is a warning.
func TestCheckNewWatches(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev nb nodad")
	na := index(t, "na")
	for _, tt := range []struct{ watch, refused, warns string }{
		{"auto", "", ""},
		{"arp:10.9.0.254", "", ""},
		{"nd:fd09::fe", "", ""},
		{"nd:fe80::fe", "", ""},
		{"arp:10.9.0.1", "own address", ""},
		{"nd:fd09::1", "own address", ""},
		{"arp:10.9.0.0", "no single host", ""},
		{"arp:10.9.0.255", "no single host", ""},
		{"arp:10.8.0.254", "", "arp:10.8.0.254 is on no subnet of "},
		{"nd:fd08::fe", "", "nd:fd08::fe is on no subnet of team0 (fd09::/64)"},
	} {
		c := settings.DefaultConfig()
		c.Team, c.LinkWatch = teamName, []string{tt.watch}
		c.Members = []settings.MemberConfig{settings.DefaultMember("na"), settings.DefaultMember("nb")}
		judge := func(what string, warnings []string, p *api.Problem) {
			t.Helper()
			got := ""
			if p != nil {
				got = p.Why
			}
			if !strings.Contains(got, tt.refused) || (got == "") != (tt.refused == "") {
				t.Errorf("%s %s: %q, want %q", what, tt.watch, got, tt.refused)
			}
			got = strings.Join(warnings, "; ")
			if !strings.Contains(got, tt.warns) || (got == "") != (tt.warns == "") {
				t.Errorf("%s %s: warnings %q, want %q", what, tt.watch, got, tt.warns)
			}
		}
		warnings, p := h.CheckNewWatches(c)
		judge("create with", warnings, p)
		if strings.HasPrefix(tt.watch, "arp") { // na has IPv4 only
			warnings, p = h.CheckWatches(na, c.Watches())
			judge("set", warnings, p)
		}
	}
}
