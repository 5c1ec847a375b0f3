// SPDX-License-Identifier: MIT

package lacp

import (
	"testing"
	"time"
)

func TestChurn(t *testing.T) {
	s := alone(1)
	p := newPartner(0)
	var notes []Note
	// It speaks each second, as it is given, for a while.
	speak := func(d time.Duration, state State) {
		for range int(d / time.Second) {
			notes = append(notes, p.says(s.System, s.w.now, 0, state).Notes...)
			notes = append(notes, s.tick(time.Second).Notes...)
		}
	}
	at := func(actor, partner Churn, noted int) {
		t.Helper()
		got := status(t, s.System, 0)
		if got.ActorChurn != actor || got.PartnerChurn != partner || kinds(notes, Churned) != noted {
			t.Errorf("%v %v with %d notes, want %v %v with %d", got.ActorChurn, got.PartnerChurn, kinds(notes, Churned),
				actor, partner, noted)
		}
	}
	base := healthy &^ (Synchronization | Collecting | Distributing)
	speak(10*time.Second, base)
	at(NoChurn, ChurnMonitor, 0)
	speak(50*time.Second, base)
	at(NoChurn, Churning, 1)
	if got := s.Status().Hints; len(got) != 1 {
		t.Errorf("hints %q", got)
	}
	speak(2*time.Minute, base)
	at(NoChurn, Churning, 1)
	speak(time.Second, healthy)
	at(NoChurn, NoChurn, 2)
	speak(30*time.Second, base)
	at(NoChurn, ChurnMonitor, 2)
	speak(time.Second, healthy)
	at(NoChurn, NoChurn, 2)
}

func TestStandbyAndSilenceAreNoChurn(t *testing.T) {
	w, a, b := linked(t, 2, bySpeed(Stable, 1, 10))
	agree(t, w, a, b, 4*time.Second, 1)
	w.run(5 * time.Minute)
	if got := status(t, a.System, 0); got.ActorChurn != ChurnMonitor || got.PartnerChurn != ChurnMonitor {
		t.Errorf("%v %v", got.ActorChurn, got.PartnerChurn)
	}
	s := alone(1)
	if out := s.tick(5 * time.Minute); len(out.Notes) > 0 {
		t.Errorf("notes %v", out.Notes)
	}
}
