// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"

	"nicteam/internal/api"
)

// showLACP prints the state of 802.3ad; with -v counters too.
func (a *app) showLACP(s *api.Status) {
	of := s.LACP
	head := fmt.Sprintf("  LACP: this host is %s", end(of.Actor))
	switch {
	case of.Aggregator == 0:
		head += "; no aggregator is in use"
	default:
		head += fmt.Sprintf("; aggregator %d with %s", of.Aggregator, end(of.Partner))
	}
	a.say("%s", head)
	rows := [][]string{{"  PORT", "AGG", "RECEIVE", "MUX", "STATE", "PARTNER'S", "PARTNER"}}
	if a.verbose {
		rows[0] = append(rows[0], "PERIODIC", "SELECTED", "CHURN", "PDUS IN", "OUT", "MARKERS IN", "OUT", "BAD")
	}
	for i := range s.Members {
		m := s.Members[i].LACP
		if m == nil {
			continue
		}
		row := []string{"  " + s.Members[i].Name, number(m.Aggregator), m.Receive, m.Mux, bits(m.Actor.State),
			bits(m.Partner.State), partnerCell(m)}
		if a.verbose {
			c := m.Counters
			row = append(row, m.Periodic, m.Selected, m.ActorChurn+"/"+m.PartnerChurn, fmt.Sprint(c.PDUsIn),
				fmt.Sprint(c.PDUsOut), fmt.Sprint(c.MarkersIn), fmt.Sprint(c.MarkersOut), fmt.Sprint(c.Bad))
		}
		rows = append(rows, row)
	}
	a.table(rows)
	if a.verbose {
		a.say("  STATE: A activity, T short timeout, G aggregation, S synchronization, C collecting, D distributing, " +
			"F defaulted, E expired")
	}
}

func end(s api.LACPSystem) string {
	return fmt.Sprintf("%s, priority %d, key %d", s.System, s.SystemPriority, s.Key)
}

// partnerCell names the partner of a port, "-" before its first LACPDU.
func partnerCell(m *api.MemberLACP) string {
	if m.Partner.System == noPartner {
		return "-"
	}
	return fmt.Sprintf("%s key %d port %d", m.Partner.System, m.Partner.Key, m.Partner.Port)
}

// noPartner is the system ID of a port without a partner.
const noPartner = "00:00:00:00:00:00"

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// stateLetters stand for [api.LACPStateBits].
const stateLetters = "ATGSCDFE"

// bits writes flags as letters, a dash for one that is not set.
func bits(names []string) string {
	b := []byte("--------")
	for i, n := range api.LACPStateBits {
		if slices.Contains(names, n) {
			b[i] = stateLetters[i]
		}
	}
	return string(b)
}
