// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/settings"
)

// planned returns the moves to or from a link as lines: kind and what.
func planned(p *api.Plan, pick func(api.PlanMove) bool) []string {
	list := []string{}
	for _, m := range p.Moves {
		if pick(m) {
			list = append(list, m.Kind+" "+m.What)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func toAdapter(m api.PlanMove) bool { return m.To == teamName }

func shown(t *testing.T, link string) []string {
	return labtest.LinkConfig(func(script string) string { return run(t, script) }, link)
}

// TestPlanIsWhatHappens compares the plan of a takeover with what the ip command shows afterwards; at last a person
// types the commands of the plan.
func TestPlanIsWhatHappens(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	w.configure()
	before := snapshot(t)
	given, none := settings.DefaultConfig(), settings.DefaultConfig()
	given.Address, given.Gateway = settings.AddressGiven, netip.MustParseAddr("10.6.0.254")
	given.Addresses = []netip.Prefix{netip.MustParsePrefix("10.6.0.1/24"), netip.MustParsePrefix("fd06::1/64")}
	none.Address = settings.AddressNone
	plans := map[string]*api.Plan{}
	h := w.open(nil)
	for policy, c := range map[string]settings.Config{"auto": settings.DefaultConfig(), "given": given, "none": none} {
		plans[policy] = api.NewPlan("create " + teamName)
		must(t, h.PlanTakeover(plans[policy], c, teamName, w.nics))
	}
	compare(t, before, snapshot(t)) // it changes nothing
	was := map[string][]string{}
	for _, n := range w.nics {
		was[n] = shown(t, n)
	}
	for _, policy := range []string{"auto", "given", "none"} {
		p := plans[policy]
		must(t, w.takeover(h, policy, w.nics...))
		if d := cmp.Diff(planned(p, toAdapter), shown(t, teamName)); d != "" {
			t.Errorf("%s: %s (-plan +ip):\n%s", policy, teamName, d)
		}
		left := map[string][]string{}
		for _, n := range w.nics {
			have := shown(t, n)
			gone := slices.DeleteFunc(slices.Clone(was[n]), func(s string) bool { return slices.Contains(have, s) })
			left[n] = gone
			want := planned(p, func(m api.PlanMove) bool {
				return slices.Contains(strings.Split(m.From, ", "), n) && m.To == "" && !m.Copied
			})
			if policy == "auto" {
				continue // what moves is in another form there
			}
			if d := cmp.Diff(want, gone); d != "" {
				t.Errorf("%s: gone from %s (-plan +ip):\n%s", policy, n, d)
			}
		}
		back := api.NewPlan("delete " + teamName)
		must(t, h.PlanReleaseAll(back))
		must(t, finish(w, h))
		for _, n := range w.nics {
			// Rules and permanent neighbours stay where they are while the team runs.
			want := slices.DeleteFunc(left[n], func(s string) bool {
				return strings.HasPrefix(s, "rule ") || strings.HasPrefix(s, "neighbour ") ||
					strings.Contains(s, " proto ra ") || strings.Contains(s, "fd0a::")
			})
			got := slices.DeleteFunc(planned(back, func(m api.PlanMove) bool {
				return slices.Contains(strings.Split(m.To, ", "), n) && m.Kind != "rule"
			}), func(s string) bool { return strings.Contains(s, "fd0a::") })
			if d := cmp.Diff(got, want); d != "" {
				t.Errorf("%s: back on %s (-plan +ip):\n%s", policy, n, d)
			}
		}
		h = w.open(nil)
	}

	for _, command := range plans["auto"].Commands {
		run(t, command)
	}
	want := planned(plans["auto"], func(m api.PlanMove) bool { return m.To == teamName && !m.Learned })
	got := shown(t, teamName)
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("by hand no %s, but\n%s", line, strings.Join(got, "\n"))
		}
	}
	for _, n := range w.nics {
		for _, line := range shown(t, n) {
			left := strings.Contains(line, " via ") && !strings.Contains(line, " proto ra ")
			if left || strings.HasPrefix(line, "address ") {
				t.Errorf("by hand %s keeps %s", n, line)
			}
		}
	}
}
