// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"nicteam/internal/api"
	"nicteam/internal/units"
)

// document writes a JSON document on a line.
func (a *app) document(doc any) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = a.out.Write(append(b, '\n'))
	return err
}

// table writes rows of cells as columns two spaces apart.
func (a *app) table(rows [][]string) {
	for _, line := range tableLines(rows) {
		a.say("%s", line)
	}
}

// tableLines are rows of cells as columns two spaces apart, without blanks at the ends of lines.
func tableLines(rows [][]string) (lines []string) {
	var width []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r {
			line.WriteString(cell + strings.Repeat(" ", width[i]+2-utf8.RuneCountInString(cell)))
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}

// datapath names the data path, with the reason if it is not the requested one.
func datapath(s *api.Status) string {
	name, preferred := s.Datapath, s.Settings.Datapath
	switch s.Datapath {
	case "fastpath":
		name = "fast path (eBPF)"
	case "relay":
		name = "relay (user space)"
	}
	if preferred == "auto" {
		preferred = "fastpath"
	}
	if preferred != "" && s.Datapath != preferred && s.DatapathReason != "" {
		name += ": " + s.DatapathReason
	}
	return name
}

// staleAfter is the age from which on a status mentions its age.
const staleAfter = 2 * time.Second

// showStatus prints a team's state.
func (a *app) showStatus(s *api.Status, l recentRates, now time.Time) {
	head := fmt.Sprintf("%s  %s  %s", s.Team, s.Mode, s.State)
	if s.Reason != "" {
		head += " (" + s.Reason + ")"
	}
	if !s.Since.IsZero() {
		head += "  for " + ago(now.Sub(s.Since))
	}
	a.say("%s", head)
	addresses := "no address"
	if len(s.Adapter.Addresses) > 0 {
		addresses = strings.Join(s.Adapter.Addresses, " ")
	}
	a.say("  %s  MAC %s  MTU %d  %s", addresses, s.Adapter.MAC, s.Adapter.MTU, datapath(s))
	if a.verbose {
		a.say("  speed %s", speed(s.Adapter.SpeedBps, s.Adapter.Carrier))
		if s.Adapter.KernelCounts == "relayed" {
			a.say("  ip -s link show %s counts only what the relay moves; nicteam status, watch and metrics count all",
				s.Adapter.Name)
		}
		for _, line := range processLines(s, now) {
			a.say("  %s", line)
		}
	}
	if old := now.Sub(s.Adapter.AsOf); !s.Adapter.AsOf.IsZero() && old > staleAfter {
		a.say("  read %s ago: another program holds the kernel's network configuration locked", ago(old))
	}
	if p := s.Pending; p != nil {
		a.say("  %s waits for confirmation: reverted in %v unless: nicteam confirm %s", p.Change,
			time.Duration(p.Left).Round(time.Second), s.Team)
	}
	if !s.Balance {
		a.say("  balance off: one NIC is active, the others stand by")
	}
	a.table(memberRows(s, l, now))
	a.say("  transferred: %s in, %s out", units.Bytes(s.RX.Bytes), units.Bytes(s.TX.Bytes))
	if s.LACP != nil {
		a.showLACP(s)
	}
	if a.verbose {
		a.showWatches(s, now)
	}
	if f := s.FlowMoves; f != nil && f.Forced > 0 {
		a.say("  flows moved without a pause: %d", f.Forced)
	}
	for _, w := range s.Warnings {
		a.say("  warning: %s", w)
	}
	if a.verbose {
		for i := range s.Panics {
			p := &s.Panics[i]
			a.say("  panic %s, %d times, last %s\n%s", p, p.Count, p.Time.Local().Format(time.DateTime), p.Stack)
		}
	}
}

// memberRows returns the table of members; in elb with the rate that each NIC is assumed to carry.
func memberRows(s *api.Status, l recentRates, now time.Time) [][]string {
	elb := s.FlowMoves != nil
	row := func(name, state, speed, carries, in, out, share, lost, why string) []string {
		if elb {
			return []string{name, state, speed, carries, in, out, share, lost, why}
		}
		return []string{name, state, speed, in, out, share, lost, why}
	}
	rows := [][]string{row("  NIC", "STATE", "SPEED", "RATE", "IN", "OUT", "SHARE", "DROPS", "REASON")}
	for i := range s.Members {
		m := &s.Members[i]
		mark := "  "
		if m.Name == s.Active {
			mark = "* "
		}
		carries := "-"
		if m.RateBps > 0 {
			carries = units.Rate(float64(m.RateBps)) + " (" + m.RateSource + ")"
		}
		in, out, share := l.cells(m.Name)
		rows = append(rows, row(mark+m.Name, m.State, speed(m.SpeedBps, m.Link), carries, in, out, share, dropsCell(m),
			whyCell(m, now)))
	}
	if l.known && len(s.Members) > 1 {
		rows = append(rows, row("  total", "", "", "", units.Rate(l.in), units.Rate(l.out), "", "", ""))
	}
	return rows
}

func dropsCell(m *api.Member) string {
	n := m.RX.Drops + m.RX.Errors + m.TX.Drops + m.TX.Errors
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func (a *app) showTeams(teams []api.ListedTeam) {
	rows := [][]string{{"TEAM", "STATE", "MODE", "NICS"}}
	for _, t := range teams {
		rows = append(rows, []string{t.Name, t.State, t.Mode, strings.Join(t.Members, " ")})
	}
	a.table(rows)
}

func (a *app) showNICs(nics []api.ListedNIC) {
	rows := [][]string{{"NIC", "LINK", "SPEED", "DRIVER", "MAC", "ADDRESSES", "BELONGS TO"}}
	for _, n := range nics {
		link := "no carrier"
		switch {
		case n.Link:
			link = "up"
		case !n.Up:
			link = "disabled"
		}
		owner := n.Owner
		if n.Link && n.State == "down" { // its light says nothing about why
			owner += ", not used" + parenthesis(n.Reason)
		}
		rows = append(rows, []string{n.Name, link, speed(n.SpeedBps, n.Link), orDash(n.Driver), orDash(n.MAC),
			orDash(strings.Join(n.Addresses, " ")), orDash(owner)})
	}
	a.table(rows)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func speed(bps uint64, link bool) string {
	switch {
	case !link:
		return "-"
	case bps == 0:
		return "unknown"
	}
	return units.Rate(float64(bps))
}

// ago writes a time span with its two largest units.
func ago(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd %dh", d/(24*time.Hour), d/time.Hour%24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh %dm", d/time.Hour, d/time.Minute%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm %ds", d/time.Minute, d/time.Second%60)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
