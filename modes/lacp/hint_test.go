// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHintWhenNobodyAnswers(t *testing.T) {
	for _, tt := range []struct {
		passive bool
		want    string
	}{
		{false, "no LACPDU has come by eth0, eth1: the switch's ports are not in a LACP group. Put them into one, or " +
			"use another mode"},
		{true, "no LACPDU has come by eth0, eth1: either the switch's ports are not in a LACP group, or both " +
			"sides are passive and wait for each other to begin. Make this side active (lacp_active on)"},
	} {
		s := alone(3, func(s *side) {
			s.config.Passive = tt.passive
			s.ports[2].Up = false
		})
		s.tick(silentHintTime - 1)
		if got := s.Status().Hints; len(got) > 0 {
			t.Errorf("too early: %q", got)
		}
		if at := s.Deadline(); at.After(start.Add(silentHintTime)) || at.IsZero() {
			t.Errorf("nobody would look at it: deadline %v", at)
		}
		s.tick(1)
		if got := s.Status().Hints; !cmp.Equal(got, []string{tt.want}) {
			t.Errorf("hints %q", got)
		}
		newPartner(1).says(s.System, s.w.now, 1, healthy)
		if got := s.Status().Hints; len(got) != 1 || got[0] == tt.want {
			t.Errorf("hints %q when one answers", got)
		}
		newPartner(0).says(s.System, s.w.now, 0, healthy)
		if got := s.Status().Hints; len(got) != 0 {
			t.Errorf("hints %q when both answer", got)
		}
	}
}

func TestHintWhenGroupsDiffer(t *testing.T) {
	s := alone(2)
	p := newPartner(1)
	p.Key = 8
	newPartner(0).says(s.System, s.w.now, 0, healthy)
	p.says(s.System, s.w.now, 1, healthy)
	want := []string{"eth0 and eth1 are in two different groups of 02:cc:00:00:00:01 (keys 7 and 8): only " +
		"one of them is used. Put the switch's ports into one LACP group"}
	if d := cmp.Diff(want, s.Status().Hints); d != "" {
		t.Error(d)
	}
}

func TestWhyAPortDoesNotDistribute(t *testing.T) {
	s := alone(1)
	p := newPartner(0)
	is := func(want string) {
		t.Helper()
		if got := status(t, s.System, 0).Why; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	is("nobody answers")
	p.says(s.System, s.w.now, 0, healthy&^Synchronization)
	is("waits 2 s for other ports")
	s.tick(aggregateWait)
	is("partner not in sync")
	p.says(s.System, s.w.now, 0, healthy&^Collecting)
	is("partner does not collect")
	p.says(s.System, s.w.now, 0, healthy)
	is("")
	s.tick(shortTimeout)
	is("partner silent for 3 s")
	s.tick(shortTimeout)
	is("nobody answers")
	s.ports[0].Up = false
	s.apply()
	is("no carrier")
}

func TestPartnersAreNoted(t *testing.T) {
	s := alone(1)
	p := newPartner(0)
	var got []string
	note := func(out Out) {
		for _, n := range out.Notes {
			got = append(got, n.Reason)
		}
	}
	p.says(s.System, s.w.now, 0, healthy&^Collecting) // its answer waits
	s.tick(aggregateWait)
	note(p.says(s.System, s.w.now, 0, healthy))
	note(p.says(s.System, s.w.now, 0, healthy&^Collecting))
	s.tick(time.Second)
	note(p.says(s.System, s.w.now, 0, healthy&^Synchronization))
	note(s.tick(shortTimeout))
	note(p.says(s.System, s.w.now, 0, healthy))
	s.tick(time.Minute)
	p.Key = 8
	note(p.says(s.System, s.w.now, 0, healthy))
	p.Port = 3
	note(p.says(s.System, s.w.now, 0, healthy))
	want := []string{
		"aggregator 1 with 02:cc:00:00:00:01 (key 7) is active",
		"partner 02:cc:00:00:00:01 (key 7, port 100) does not collect any more",
		"partner 02:cc:00:00:00:01 (key 7, port 100) is not in sync any more",
		"partner 02:cc:00:00:00:01 silent for 3 s",
		"no aggregator is active any more",
		"partner 02:cc:00:00:00:01 (key 7, port 100) answers again",
		"aggregator 1 with 02:cc:00:00:00:01 (key 7) is active",
		"partner 02:cc:00:00:00:01 (key 8, port 100) answers",
		"partner is 02:cc:00:00:00:01 (key 8, port 3), was 02:cc:00:00:00:01 (key 8, port 100)",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNotesAreBounded(t *testing.T) {
	s := alone(1)
	p := newPartner(0)
	notes := 0
	for i := range 600 {
		p.Key = uint16(i)
		notes += len(p.says(s.System, s.w.now, 0, healthy).Notes)
		s.tick(100 * time.Millisecond)
	}
	if notes > 5+6 {
		t.Errorf("%d notes in a minute", notes)
	}
}
