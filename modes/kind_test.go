// SPDX-License-Identifier: MIT

package modes

import (
	"errors"
	"strings"
	"testing"

	"nicteam/modes/spread"
)

func TestParseAlias(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Alias
	}{
		{"elb", Alias{Kind: ELB}},
		{"round-robin", Alias{Kind: RoundRobin}},
		{"active-backup", Alias{Kind: ActiveBackup}},
		{"xor", Alias{Kind: XOR}},
		{"802.3ad", Alias{Kind: LACP}},
		{"broadcast", Alias{Kind: Broadcast}},
		{"balance-rr", Alias{Kind: RoundRobin}}, {"0", Alias{Kind: RoundRobin}},
		{"1", Alias{Kind: ActiveBackup}},
		{"balance-xor", Alias{Kind: XOR}}, {"2", Alias{Kind: XOR}},
		{"3", Alias{Kind: Broadcast}},
		{"lacp", Alias{Kind: LACP}}, {"4", Alias{Kind: LACP}},
		{"balance-tlb", Alias{Kind: ELB, ReceiveBalanceOff: true}}, {"5", Alias{Kind: ELB, ReceiveBalanceOff: true}},
		{"balance-alb", Alias{Kind: ELB}}, {"6", Alias{Kind: ELB}},
		{" Active_Backup ", Alias{Kind: ActiveBackup}},
	} {
		got, err := ParseAlias(c.in)
		if err != nil || got != c.want {
			t.Errorf("%q: got %+v, %v; want %+v", c.in, got, err, c.want)
		}
		if k, err := ParseKind(c.in); err != nil || k != c.want.Kind {
			t.Errorf("%q: got kind %v, %v", c.in, k, err)
		}
	}
}

func TestUnknownNamesTellWhatWasMeant(t *testing.T) {
	kind := func(s string) error { _, err := ParseKind(s); return err }
	hash := func(s string) error { _, err := spread.ParseHash(s); return err }
	reselect := func(s string) error { _, err := ParseReselect(s); return err }
	for _, c := range []struct {
		in    string
		parse func(string) error
		near  string
	}{
		{"blance-rr", kind, "balance-rr"},
		{"active-bakcup", kind, "active-backup"},
		{"active", kind, "active-backup"},
		{"brodcast", kind, "broadcast"},
		{"802.3da", kind, "802.3ad"},
		{"7", kind, ""},
		{"", kind, ""},
		{"teaming", kind, ""},
		{strings.Repeat("x", 5000), kind, ""},
		{"layer3-4", hash, "layer3+4"},
		{"vlan+srcmak", hash, "vlan+srcmac"},
		{"9", hash, ""},
		{"allways", reselect, "always"},
	} {
		var u *spread.UnknownError
		if err := c.parse(c.in); !errors.As(err, &u) {
			t.Errorf("%.20q: got %v, want an UnknownError", c.in, err)
			continue
		}
		if u.Near != c.near {
			t.Errorf("%.20q: perhaps %q, want %q", c.in, u.Near, c.near)
		}
		for _, k := range u.Known {
			if !strings.Contains(u.Error(), k) {
				t.Errorf("%q does not list %q", u, k)
			}
		}
	}
}

func TestNamesComeBack(t *testing.T) {
	for _, k := range Kinds() {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("%v: got %v, %v", k, got, err)
		}
	}
	for _, p := range spread.HashPolicies() {
		if got, err := spread.ParseHash(p.String()); err != nil || got != p {
			t.Errorf("%v: got %v, %v", p, got, err)
		}
	}
	for _, r := range []Reselect{ReselectAlways, ReselectBetter, ReselectFailure} {
		if got, err := ParseReselect(r.String()); err != nil || got != r {
			t.Errorf("%v: got %v, %v", r, got, err)
		}
	}
	for in, want := range map[string]spread.HashPolicy{"0": spread.Layer2, "1": spread.Layer34, "2": spread.Layer23,
		"5": spread.VLANSrcMAC} {
		if got, err := spread.ParseHash(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v", in, got, err)
		}
	}
}

func TestNew(t *testing.T) {
	for _, balance := range []bool{true, false} {
		m, err := New(Settings{Kind: LACP, Balance: balance})
		if _, ok := m.(*aggregation); !ok || err != nil {
			t.Errorf("balance %v: got %T, %v", balance, m, err)
		}
		if pl := m.Plan(); pl.Rule != spread.RuleNone || pl.Collecting != 0 || !m.Deadline().IsZero() {
			t.Errorf("plans before it has a state: %+v", pl)
		}
	}
	if m, err := New(Settings{Kind: 77, Balance: true}); err == nil {
		t.Errorf("mode 77: got %v, %v", m, err)
	}
	for _, k := range []Kind{ELB, RoundRobin, ActiveBackup, XOR, Broadcast} {
		m, err := New(Settings{Kind: k})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.(*activeBackup); !ok {
			t.Errorf("%v without balance is a %T", k, m)
		}
		if pl := m.Plan(); pl.Rule != spread.RuleNone || pl.Collecting != 0 {
			t.Errorf("%v plans before it has a state: %+v", k, pl)
		}
	}
}
