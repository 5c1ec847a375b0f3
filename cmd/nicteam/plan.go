// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"

	"nicteam/internal/api"
)

// planDetail is how much of a plan is printed.
type planDetail int

const (
	planHead planDetail = iota // the NICs, the adapter, and how much moves
	planFull
	planCommands // also the commands by which a person would do it
)

// maxMoves bounds the lines of what moves: a router may have very many routes.
const maxMoves = 40

// showPlan prints a plan.
func (a *app) showPlan(p *api.Plan, detail planDetail) {
	for _, line := range planLines(p, detail) {
		a.say("%s", line)
	}
}

// planLines writes a plan for people. Risks are not in it: they are printed as warnings.
func planLines(p *api.Plan, detail planDetail) []string {
	var parts [][]string
	part := func(lines ...string) {
		if len(lines) > 0 {
			parts = append(parts, lines)
		}
	}
	part(planNICs(p)...)
	part(planAdapter(p)...)
	part(planSettings(p)...)
	if detail == planHead {
		part(planSummary(p)...)
	} else {
		part(planMoves(p)...)
		part(append(planManagers(p), planFiles(p)...)...)
	}
	part(p.Effects...)
	part(planBlocked(p)...)
	if detail == planCommands && len(p.Commands) > 0 {
		part(append([]string{"the same by hand, without the team's process:"}, indented(p.Commands)...)...)
	}
	var lines []string
	for i, lns := range parts {
		if i > 0 && detail != planHead {
			lines = append(lines, "")
		}
		lines = append(lines, lns...)
	}
	return lines
}

func indented(list []string) (lines []string) {
	for _, s := range list {
		lines = append(lines, "  "+s)
	}
	return lines
}

func planNICs(p *api.Plan) []string {
	if len(p.NICs) == 0 {
		return nil
	}
	rows := [][]string{{"NIC", "LINK", "SPEED", "DRIVER", "MANAGER", ""}}
	for i := range p.NICs {
		n := &p.NICs[i]
		link := "no carrier"
		switch {
		case n.Link:
			link = "up"
		case !n.Up:
			link = "disabled"
		}
		rows = append(rows, []string{n.Name, link, speed(n.SpeedBps, n.Link), orDash(n.Driver), orDash(n.Manager),
			sessionsText(n.Sessions)})
	}
	return tableLines(rows)
}

// sessionsText says whose SSH sessions go by a NIC.
func sessionsText(list []api.PlanSession) string {
	others := 0
	var own string
	for _, s := range list {
		if s.Yours {
			own = "carries your SSH session"
		} else {
			others++
		}
	}
	more := fmt.Sprintf("%d SSH sessions", others)
	if others == 1 {
		more = "an SSH session"
	}
	switch {
	case own == "" && others == 0:
		return ""
	case others == 0:
		return own
	case own == "":
		return "carries " + more
	}
	return own + " and " + strings.TrimPrefix(more, "an ") + " of others"
}

func planAdapter(p *api.Plan) []string {
	d := p.Adapter
	if d == nil {
		return nil
	}
	mac := d.MAC
	switch {
	case mac == "":
		mac = "a new MAC"
	case d.MACFrom != "":
		mac = "MAC " + mac + " (of " + d.MACFrom + ")"
	default:
		mac = "MAC " + mac
	}
	line := fmt.Sprintf("%s: %s, MTU %d", d.Name, mac, d.MTU)
	if d.Mode != "" {
		line = fmt.Sprintf("%s: mode %s, %s, MTU %d", d.Name, d.Mode, mac, d.MTU)
	}
	return []string{line}
}

func planSettings(p *api.Plan) []string {
	if len(p.Settings) == 0 {
		return nil
	}
	rows := [][]string{{"SETTING", "FROM", "TO", "CONNECTIONS"}}
	for _, s := range p.Settings {
		rows = append(rows, []string{s.Key, orDash(s.From), orDash(s.To), orDash(s.Effect)})
	}
	return tableLines(rows)
}

// planSummary counts what moves.
func planSummary(p *api.Plan) []string {
	count := map[string]int{}
	var kinds []string
	for _, m := range p.Moves {
		if count[m.Kind]++; count[m.Kind] == 1 {
			kinds = append(kinds, m.Kind)
		}
	}
	var list []string
	for _, kind := range kinds {
		list = append(list, counted(count[kind], kind))
	}
	if len(list) == 0 {
		return nil
	}
	return []string{"moves: " + strings.Join(list, ", ")}
}

func counted(n int, kind string) string {
	switch {
	case n == 1:
		return "1 " + kind
	case kind == "proxy":
		return fmt.Sprintf("%d proxies", n)
	case kind == "address":
		return fmt.Sprintf("%d addresses", n)
	}
	return fmt.Sprintf("%d %ss", n, kind)
}

func planMoves(p *api.Plan) []string {
	if len(p.Moves) == 0 {
		return nil
	}
	rows := [][]string{{"MOVES", "FROM", "TO", "WHAT"}}
	for i, m := range p.Moves {
		if i == maxMoves && len(p.Moves) > maxMoves+1 {
			break
		}
		note := ""
		switch {
		case m.To == "":
			note = " (removed)"
		case m.From == "":
			note = " (new)"
		case m.Copied:
			note = " (a copy)"
		case m.Learned:
			note = " (learned from a router)"
		}
		rows = append(rows, []string{m.Kind, orDash(m.From), orDash(m.To), m.What + note})
	}
	lines := tableLines(rows)
	if more := len(p.Moves) - (len(rows) - 1); more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more: --json has all", more))
	}
	return lines
}

func planManagers(p *api.Plan) (lines []string) {
	for _, m := range p.Managers {
		var does []string
		if len(m.Leaves) > 0 {
			does = append(does, "leaves "+strings.Join(m.Leaves, ", ")+" alone")
		}
		if m.Serves != "" && p.Adapter != nil {
			does = append(does, fmt.Sprintf("serves %s in place of %s", p.Adapter.Name, m.Serves))
		}
		if m.Servers != "" && p.Adapter != nil {
			does = append(does, fmt.Sprintf("asks %s through %s", m.Servers, p.Adapter.Name))
		}
		lines = append(lines, m.Name+" "+strings.Join(does, ", "))
	}
	return lines
}

func planFiles(p *api.Plan) (lines []string) {
	for _, f := range p.Files {
		lines = append(lines, fmt.Sprintf("writes %s (%s)", f.Path, f.What))
	}
	return lines
}

// planBlocked says what --force, or -y, has accepted or has to.
func planBlocked(p *api.Plan) (lines []string) {
	for _, b := range p.Blocked {
		if !b.Accepted {
			lines = append(lines, "needs --force: "+b.Why)
		}
	}
	return lines
}
