// SPDX-License-Identifier: MIT

package monitor

import (
	"net/netip"
	"slices"
)

// maxTargets bounds what one watch asks: a host with a hundred default routes sends no hundred asks a second.
const maxTargets = 8

// autoHosts is how many hosts auto asks where there is no gateway.
const autoHosts = 2

// carrierWatch asks nobody.
type carrierWatch struct{}

func (carrierWatch) Wants(*Surroundings) Wants { return Wants{Always: true} }

// probeWatch lets members listen to each other. Members of one link do not hear each other: the switch returns nothing.
type probeWatch struct{}

func (probeWatch) Wants(s *Surroundings) Wants {
	if s.Aggregated {
		return Wants{Always: true}
	}
	return Wants{Probe: ProbeDecides}
}

// addressWatch asks one address.
type addressWatch struct{ ip netip.Addr }

// Wants takes the VLAN from the adapter's neighbours.
func (a addressWatch) Wants(s *Surroundings) Wants {
	t := Target{IP: a.ip}
	for _, known := range [][]Target{s.Gateways, s.Hosts} {
		if i := slices.IndexFunc(known, func(k Target) bool { return k.IP == a.ip }); i >= 0 {
			t = known[i]
			break
		}
	}
	return Wants{Targets: []Wanted{{Target: t}}, Every: true}
}

// gatewayWatch asks the default gateways.
type gatewayWatch struct{}

func (gatewayWatch) Wants(s *Surroundings) Wants { return gateways(s) }

// gateways wants every gateway to answer: two of them may be in two VLANs, and a port may lack one.
func gateways(s *Surroundings) Wants {
	w := Wants{Every: true}
	for _, t := range s.Gateways {
		if len(w.Targets) < maxTargets {
			w.Targets = append(w.Targets, Wanted{t, "gateway"})
		}
	}
	return w
}

// autoWatch asks gateways, else hosts, else lets members listen to each other. With 802.3ad it asks nobody: LACP
// watches each link, and an answer may arrive by any of them.
type autoWatch struct {
	hosts []Target // as last chosen: a host that still answers stays
}

func (a *autoWatch) Wants(s *Surroundings) Wants {
	if s.Aggregated {
		return Wants{Always: true}
	}
	w := gateways(s)
	if slices.ContainsFunc(w.Targets, func(t Wanted) bool { return !s.Silent(t.Target) }) {
		a.hosts = nil
		w.Probe = ProbeSenses
		return w
	}
	a.chooseHosts(s)
	if len(a.hosts) == 0 {
		w.Probe = ProbeDecides
		return w
	}
	// A host may be behind one of the members, and go to sleep: one of them is enough. Gateways that answer by no
	// member decide nothing, and are asked until they do.
	w.Every, w.Probe = false, ProbeSenses
	for _, t := range a.hosts {
		w.Targets = append(w.Targets, Wanted{t, "host"})
	}
	return w
}

func (a *autoWatch) chooseHosts(s *Surroundings) {
	fit := func(t Target) bool { return slices.Contains(s.Hosts, t) && !s.Silent(t) }
	a.hosts = slices.DeleteFunc(slices.Clone(a.hosts), func(t Target) bool { return !fit(t) })
	for _, t := range s.Hosts {
		if len(a.hosts) < autoHosts && fit(t) && !slices.Contains(a.hosts, t) {
			a.hosts = append(a.hosts, t)
		}
	}
}
