// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// silentHintTime is how long a port has no partner before there is a hint.
const silentHintTime = 10 * time.Second

// why returns why a port does not distribute, in words; "" if it does.
func (s *System) why(p *port) string {
	switch {
	case !p.Up:
		return "no carrier"
	case p.HalfDuplex:
		return "half duplex: LACP cannot use it"
	case p.mux == MuxDistributing && p.agg == s.active:
		return ""
	case p.Leaving:
		return "leaves"
	case s.loops(p) && !p.heard():
		return "hears its own system"
	case p.defaulted:
		return "nobody answers"
	case p.receive == ReceiveExpired && p.silence != 0:
		return "partner silent for " + seconds(p.silence)
	case !p.heard():
		return "nobody answers"
	case p.Standby:
		return "stands by"
	case p.selected == Standby:
		return p.aggregatorName() + " stands by"
	case p.mux < MuxAttached:
		return "waits 2 s for other ports"
	case !p.partner.State.Has(Synchronization):
		return "partner not in sync"
	case !p.confirmed:
		return "partner has spoken only once"
	case !p.partner.State.Has(Collecting):
		return "partner does not collect"
	}
	return p.aggregatorName() + " stands by"
}

func (p *port) aggregatorName() string {
	return fmt.Sprintf("aggregator %d with %v (key %d)", p.agg, p.partner.System.MAC, p.partner.Key)
}

// loops reports whether a port received PDUs of its own system, and no others, within the last minute.
func (s *System) loops(p *port) bool { return !p.looped.IsZero() && s.now.Sub(p.looped) < time.Minute }

// hints returns what the operator should look at.
func (s *System) hints() []string {
	var hints []string
	looped := s.names(s.loops)
	if len(looped) > 0 {
		hints = append(hints, list(looped)+plural(looped, " hears its", " hear their")+
			" own LACPDUs: the cable is a loop, or leads to another port of this team or to a switch without LACP "+
			"that passes them on. Connect each port to a switch with LACP, none to another")
	}
	silent := s.names(func(p *port) bool {
		return !p.unheardSince.IsZero() && s.now.Sub(p.unheardSince) >= silentHintTime && !s.loops(p)
	})
	if len(silent) > 0 {
		h := "no LACPDU has come by " + list(silent) +
			": the switch's ports are not in a LACP group. Put them into one, or use another mode"
		if s.config.Passive {
			h = "no LACPDU has come by " + list(silent) + ": either the switch's ports are not in a LACP group, " +
				"or both sides are passive and wait for each other to begin. Make this side active (lacp_active on)"
		}
		hints = append(hints, h)
	}
	hints = append(hints, s.whyApart()...)
	for i := range s.ports {
		p := &s.ports[i]
		if p.actor.state == Churning || p.other.state == Churning {
			hints = append(hints, fmt.Sprintf("%s has not come into sync with %s for a minute or more: the settings "+
				"of both sides do not fit. Look at what the switch says of that port", p.Name, name(&p.partner)))
		}
	}
	return hints
}

// whyApart returns why ports with partners are not aggregated, each reason once, with the first two ports that it holds
// for.
func (s *System) whyApart() []string {
	var hints []string
	var partner, theirs, own bool
	for i := range s.ports {
		for j := i + 1; j < len(s.ports); j++ {
			p, q := &s.ports[i], &s.ports[j]
			if !p.heard() || !q.heard() {
				continue
			}
			switch {
			case p.partner.System != q.partner.System:
				if !partner {
					hints = append(hints, fmt.Sprintf("%s and %s are connected to two different systems, %v and %v: "+
						"only one of them is used. Connect both to the same switch, or make the two switches one "+
						"to LACP (stack, MLAG)",
						p.Name, q.Name, p.partner.System.MAC, q.partner.System.MAC))
				}
				partner = true
			case p.key != q.key:
				if !own {
					hints = append(hints, fmt.Sprintf("%s and %s differ in speed (%s and %s): LACP uses only "+
						"ports of the same speed together", p.Name, q.Name, speed(p.class), speed(q.class)))
				}
				own = true
			case p.partner.Key != q.partner.Key:
				if !theirs {
					hints = append(hints, fmt.Sprintf("%s and %s are in two different groups of %v (keys %d and %d): "+
						"only one of them is used. Put the switch's ports into one LACP group",
						p.Name, q.Name, p.partner.System.MAC, p.partner.Key, q.partner.Key))
				}
				theirs = true
			}
		}
	}
	return hints
}

// names returns the names of the ports for which is holds.
func (s *System) names(is func(*port) bool) []string {
	var names []string
	for i := range s.ports {
		if is(&s.ports[i]) {
			names = append(names, s.ports[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

func list(names []string) string { return strings.Join(names, ", ") }

func plural(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

// speed returns a class in words.
func speed(class uint8) string {
	switch bps := classes[min(int(class), len(classes)-1)]; {
	case bps == 0:
		return "unknown"
	case bps >= 1e9:
		return fmt.Sprintf("%g Gbit/s", float64(bps)/1e9)
	default:
		return fmt.Sprintf("%d Mbit/s", bps/1e6)
	}
}
