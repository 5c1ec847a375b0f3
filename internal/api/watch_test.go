// SPDX-License-Identifier: MIT

package api

import (
	"testing"
	"time"
)

func TestWhy(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	damped := &Damped{Failures: 5, Until: now.Add(24*time.Second + time.Millisecond)}
	const silent = "gateway 10.9.0.254 does not answer by eth2 (3 of 3 asks), it does by eth1"
	for _, tt := range []struct {
		name string
		m    Member
		want string
	}{
		{"well", Member{}, ""},
		{"down", Member{Reason: silent}, silent},
		{"damped", Member{Reason: "flapped too often, waits until 03:04:30", Damped: damped},
			"flapped 5 times in 60 s, back in 25 s"},
		{"damped and down", Member{Reason: "carrier lost", Damped: damped},
			"carrier lost; flapped 5 times in 60 s, back in 25 s"},
		{"a status that is old", Member{Damped: &Damped{Failures: 3, Until: now.Add(-time.Hour)}},
			"flapped 3 times in 60 s, back in 0 s"},
	} {
		if got := tt.m.Why(now); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTarget(t *testing.T) {
	for want, a := range map[string]Asked{
		"gateway 10.9.0.254":    {Watch: "auto", Role: "gateway", IP: "10.9.0.254"},
		"host fd09::7 (VLAN 5)": {Watch: "auto", Role: "host", IP: "fd09::7", VLAN: 5},
		"arp 10.9.0.7":          {Watch: "arp", IP: "10.9.0.7"},
		"the other members":     {Watch: "probe"},
	} {
		if got := a.Target(); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}

func TestEventsOfWatches(t *testing.T) {
	for _, tt := range []struct {
		e           Event
		text, label string
	}{
		{Event{Event: "member-down", Member: "eth2", Took: 20_300_000,
			Reason: "gateway 10.9.0.254 does not answer by eth2 (3 of 3 asks), it does by eth1"},
			"eth2 down: gateway 10.9.0.254 does not answer by eth2 (3 of 3 asks), it does by eth1, " +
				"flows moved in 20.3 ms",
			"eth2: gateway 10.9.0.254 does not answer"},
		{Event{Event: "member-damped", Member: "eth2", Reason: "flapped 3 times in 60 s, back in 5s"},
			"eth2 damped: flapped 3 times in 60 s, back in 5s", "eth2 damped"},
		{Event{Event: "member-suspect", Member: "eth2", Reason: "eth2 sent 9 frames and has heard nothing for 14ms"},
			"eth2 suspect: eth2 sent 9 frames and has heard nothing for 14ms", "eth2 suspect"},
		{Event{Event: "member-down", Member: "eth2", Reason: "carrier lost"}, "eth2 down: carrier lost",
			"eth2: carrier lost"},
	} {
		if got := tt.e.Text(); got != tt.text {
			t.Errorf("%q, want %q", got, tt.text)
		}
		if got := tt.e.Label(); got != tt.label {
			t.Errorf("%q, want %q", got, tt.label)
		}
	}
}
