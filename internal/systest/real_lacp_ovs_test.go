// SPDX-License-Identifier: MIT

package systest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestLACPAgreesWithOVS has both ends active and passive, fast and slow: every combination with an active end agrees
// within seconds after the cables are plugged in, whichever end wants the fast rate.
func TestLACPAgreesWithOVS(t *testing.T) {
	t.Parallel()
	type end struct{ rate, activity string }
	said := func(e end) string { return e.activity + " " + e.rate }
	for _, ours := range []end{{"fast", "active"}, {"slow", "active"}, {"fast", "passive"}, {"slow", "passive"}} {
		t.Run(said(ours), func(t *testing.T) {
			parallelWithTimers(t)
			w, p := newPartners(t, 2, "")
			p.bonds(lab.OVSBond{Name: "bond0", Ports: []string{"p1", "p2"}, Fast: true})
			w.create(nics(2), "--mode", "802.3ad", "--lacp-rate", ours.rate, "--damping", "off")
			w.awaitAgreement(p, "bond0", nics(2)...)
			if ours.activity == "passive" {
				// From here on: Open vSwitch that has given up speaks each 30 s only, also when its cable is plugged in
				// anew.
				w.set("lacp_active=off")
			}
			for _, theirs := range []end{{"fast", "active"}, {"slow", "active"}, {"fast", "passive"},
				{"slow", "passive"}} {
				if ours.activity == "passive" && theirs.activity == "passive" {
					continue // nobody speaks
				}
				before := p.members("bond0")
				for _, nic := range nics(2) {
					labtest.Must(t, w.cables[nic].Cut())
				}
				p.set("set", "port", "bond0", "lacp="+theirs.activity, "other_config:lacp-time="+theirs.rate)
				labtest.Eventually(t, "nothing works, and both know why", func() bool {
					for i, m := range p.members("bond0") {
						if m.Carrier == before[i].Carrier {
							return false
						}
					}
					return len(w.agreed().distributing())+len(p.distributing("bond0")) == 0
				})
				for _, nic := range nics(2) {
					labtest.Must(t, w.cables[nic].Mend())
				}
				plugged := time.Now()
				w.awaitAgreement(p, "bond0", nics(2)...)
				t.Logf("with %s: agreed after %v", said(theirs), time.Since(plugged).Round(time.Millisecond))
				a := w.agreed()
				for _, nic := range nics(2) {
					m := a.member(t, nic)
					if m.LACP.Receive != "CURRENT" || m.LACP.Mux != "DISTRIBUTING" || theirs.rate == "fast" &&
						m.LACP.Periodic != "FAST" || !m.Collecting ||
						slices.Contains(m.LACP.Actor.State, "timeout") != (ours.rate == "fast") ||
						slices.Contains(m.LACP.Partner.State, "timeout") != (theirs.rate == "fast") ||
						slices.Contains(m.LACP.Actor.State, "activity") != (ours.activity == "active") ||
						slices.Contains(m.LACP.Partner.State, "activity") != (theirs.activity == "active") {
						t.Errorf("with %s: %s %+v", said(theirs), nic, m.LACP)
					}
				}
				if a.State != "up" || len(a.Warnings) > 0 || a.LACP == nil || a.LACP.Partner.System == "" ||
					a.LACP.Aggregator == 0 {
					t.Errorf("with %s: %s %s %v %+v", said(theirs), a.State, a.Reason, a.Warnings, a.LACP)
				}
			}
		})
	}
}

// TestLACPFaultsWithOVS lets a fast partner lose cables, one direction of a cable, its process and its configuration
// under traffic both ways: the remaining members carry it, and everything recovers by itself.
func TestLACPFaultsWithOVS(t *testing.T) {
	t.Parallel()
	both := nics(2)
	setup := func(t *testing.T, path string) (*world, *partner, *traffic) {
		parallelWithTimers(t)
		w, p := newPartners(t, 2, path)
		p.bonds(lab.OVSBond{Name: "bond0", Ports: []string{"p1", "p2"}, Fast: true})
		w.create(both, "--mode", "802.3ad", "--lacp-rate", "fast")
		w.awaitAgreement(p, "bond0", both...)
		tr := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
		w.checkSpread("at first", both...)
		return w, p, tr
	}
	survives := func(w *world, p *partner, tr *traffic, what string, left ...string) (took time.Duration) {
		w.t.Helper()
		at := time.Now()
		w.awaitAgreement(p, "bond0", left...)
		took = time.Since(at)
		tr.awaitFrames(1000)
		if a := w.agreed(); a.State != "degraded" {
			w.t.Errorf("%s: the team is %s: %s", what, a.State, a.Reason)
		}
		return took
	}
	heals := func(w *world, p *partner, tr *traffic, what string) {
		w.t.Helper()
		w.awaitAgreement(p, "bond0", both...)
		// The partner moves flows back in its own time.
		w.checkSends("after "+what, both...)
		if a := w.await("up after "+what, func(s *api.Status) bool { return s.State == "up" }); len(a.Warnings) > 0 {
			w.t.Errorf("after %s: %v", what, a.Warnings)
		}
	}

	// A lost carrier, and one direction of a cable without a sign at its ends.
	for _, tt := range []struct {
		path, lost string
		swallow    func(c *lab.Cable, on bool) error
	}{
		// The partner reports it: still in sync and collecting, as Open vSwitch is, but expired.
		{"relay", "what box sends by eth1", (*lab.Cable).SwallowFromA},
		{"fastpath", "what comes by eth1", (*lab.Cable).SwallowFromB},
	} {
		t.Run("cables, "+tt.path, func(t *testing.T) {
			w, p, tr := setup(t, tt.path)
			labtest.Must(t, w.cables["eth2"].Cut())
			survives(w, p, tr, "a cable is cut", "eth1")
			labtest.Must(t, w.cables["eth2"].Mend())
			heals(w, p, tr, "a cable is mended")

			labtest.Must(t, tt.swallow(w.cables["eth1"], true))
			took := survives(w, p, tr, tt.lost+" is lost", "eth2")
			t.Logf("%s is lost: noticed after %v", tt.lost, took.Round(time.Millisecond))
			if m := w.agreed().member(t, "eth1"); m.LACP.Why == "" || m.Distributing {
				t.Errorf("%s is lost: %+v", tt.lost, m)
			}
			labtest.Must(t, tt.swallow(w.cables["eth1"], false))
			heals(w, p, tr, tt.lost+" is lost no more")
			tr.stop()
		})
	}

	t.Run("partner", func(t *testing.T) {
		w, p, tr := setup(t, "fastpath")
		// A key applies to the whole bond.
		for _, port := range []string{"p1", "p2"} {
			p.set("set", "interface", port, "other_config:lacp-aggregation-key=77")
		}
		labtest.Eventually(t, "the partner's new key", func() bool {
			a := w.agreed()
			return a.LACP != nil && a.LACP.Partner.Key == 77
		})
		heals(w, p, tr, "the partner has another key")

		p.Kill()
		labtest.Eventually(t, "nobody is heard", func() bool {
			a := w.agreed()
			return a.member(t, "eth1").LACP.Receive != "CURRENT" && a.member(t, "eth2").LACP.Receive != "CURRENT"
		})
		labtest.Must(t, p.Resume(t.Context()))
		heals(w, p, tr, "the partner was killed and started again")

		// The whole group changes its values.
		p.set("set", "port", "bond0", "other_config:lacp-system-id=02:00:00:00:0b:02",
			"other_config:lacp-system-priority=7")
		labtest.Eventually(t, "the partner's new name", func() bool {
			a := w.agreed()
			return a.LACP != nil && a.LACP.Partner.System == "02:00:00:00:0b:02" && a.LACP.Partner.SystemPriority == 7
		})
		heals(w, p, tr, "the partner has another name")
		tr.stop()
		events := w.nicteam("events", teamName, "--json")
		if n := strings.Count(events, `"partner-changed"`); n < 3 || n > 60 {
			t.Errorf("%d events of partners that changed in:\n%s", n, events)
		}
	})
}
