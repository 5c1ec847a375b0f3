// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
	"nicteam/internal/units"
)

// completers are found by the word for an argument, or for the value of a flag, in help; where it means something else
// in a command, by the command and the word, or the command and the flag. The values of flags without such a word are
// found by their type, "" for flags that are on or off.
var completers = map[string]completer{
	"TEAM":         completeTeam,
	"delete TEAM":  teamsThat("is here", func(*api.ListedTeam) bool { return true }),
	"restore TEAM": teamsThat("has to be restored", func(t *api.ListedTeam) bool { return !t.Running }),
	"create TEAM":  completeNewTeam,
	"confirm TEAM": completePending,
	"revert TEAM":  completePending,
	"run TEAM":     completeConfigured,
	"keeper TEAM":  completeConfigured,
	"edit TEAM":    completeEdited,
	"TEAM[/NIC]":   completeTeamOrNIC,

	"NIC":              completeFreeNIC,
	"remove NIC":       completeMember,
	"restore --forget": completeMember,

	"KEY=VALUE": completeAssignment,
	"COMMAND":   completeTopic,
	"SHELL":     func(*place) offer { return offer{words: shells, shell: noFiles} },
	"FLOW":      func(*place) offer { return offer{hint: "a flow: tcp 10.0.0.1:5000 10.0.0.2:80", shell: noFiles} },

	"SOURCE":    completeSource,
	"file":      func(*place) offer { return offer{shell: files} },
	"--config":  completeSettingsFile,
	"--file":    completeSettingsFile,
	"FILE":      func(*place) offer { return filesThatEnd("svg", "png") },
	"DIR":       completeDirectory,
	"directory": completeDirectory,
	"DIRECTORY": completeDirectory,

	"TIME":     completeNothing,
	"ADDRESS":  completeNothing,
	"name":     completeNothing,
	"ID":       completeNothing,
	"int":      completeNothing,
	"duration": completeNothing,
	"":         func(*place) offer { return offer{words: []string{"true", "false"}, shell: noFiles} },
}

// completeNothing is of values that nobody else knows; it says what is wanted.
func completeNothing(p *place) offer {
	hint := p.name
	if p.flag != nil {
		_, usage := pflag.UnquoteUsage(p.flag)
		hint += ": " + usage
	}
	return offer{hint: hint, shell: noFiles}
}

func filesThatEnd(extensions ...string) offer {
	return offer{words: extensions, shell: cobra.ShellCompDirectiveFilterFileExt}
}

func completeSettingsFile(*place) offer { return filesThatEnd(config.Extensions()...) }

func completeDirectory(*place) offer { return offer{shell: cobra.ShellCompDirectiveFilterDirs} }

var completeTeam = teamsThat("runs", func(t *api.ListedTeam) bool { return t.Running })

// teamsThat completes the teams that are wanted; without one it says what it looked for.
func teamsThat(what string, wanted func(*api.ListedTeam) bool) completer {
	return func(p *place) offer {
		o := offer{hint: "no team " + what, shell: noFiles}
		for i := range p.look().Teams {
			if t := &p.look().Teams[i]; wanted(t) {
				o.words = append(o.words, described(t.Name, teamText(t)))
			}
		}
		return o
	}
}

// teamText says what a team is: "elb, up: eth1 eth2".
func teamText(t *api.ListedTeam) string {
	var parts []string
	for _, s := range []string{t.Mode, t.State} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	text := strings.Join(parts, ", ")
	if len(t.Members) > 0 && text != "" {
		text += ": " + strings.Join(t.Members, " ")
	}
	return text
}

func completeNewTeam(p *place) offer {
	o := offer{hint: "a name for the new team and its adapter, such as team0", shell: noFiles}
	_ = p.a.resolveDirs()
	if name, err := launch.FreeName(p.a.dirs); err == nil {
		o.words = []string{described(name, "a name that is free")}
	}
	return o
}

// completePending completes the teams of which a change waits for confirmation.
func completePending(p *place) offer {
	o := offer{hint: "no change waits for confirmation", shell: noFiles}
	_ = p.a.resolveDirs()
	for _, name := range p.a.dirs.PendingTeams() {
		if r := p.a.dirs.Pending(name); r != nil {
			o.words = append(o.words, described(name, r.Change))
		}
	}
	return o
}

// completeConfigured completes the teams that have a file.
func completeConfigured(p *place) offer {
	_ = p.a.resolveDirs()
	return offer{words: p.a.dirs.Configured(), hint: "no team has a file in " + p.a.dirs.ConfigDir, shell: noFiles}
}

// completeEdited completes the teams that run, or have a file.
func completeEdited(p *place) offer {
	o := completeTeam(p)
	for _, name := range p.a.dirs.Configured() {
		if !slices.ContainsFunc(o.words, func(w string) bool { return wordOf(w) == name }) {
			o.words = append(o.words, described(name, "does not run"))
		}
	}
	return o
}

// wordOf is a word of an offer without what it is.
func wordOf(w string) string {
	word, _, _ := strings.Cut(w, "\t")
	return word
}

func completeTeamOrNIC(p *place) offer {
	o := completeTeam(p)
	for _, t := range p.look().Teams {
		for _, m := range p.members(t.Name) {
			o.words = append(o.words, t.Name+"/"+m)
		}
	}
	return o
}

// completeFreeNIC completes the NICs that could join a team.
func completeFreeNIC(p *place) offer {
	var list []string
	for i := range p.look().Free {
		list = append(list, nicWord(&p.look().Free[i]))
	}
	return p.others("no NIC of this host is free", list)
}

// completeMember completes the members of the team that is named.
func completeMember(p *place) offer {
	if len(p.given) == 0 {
		return offer{hint: "of which team?", shell: noFiles}
	}
	return p.others("no member of "+p.given[0]+" is known", p.members(p.given[0]))
}

// others offers names without those that were given.
func (p *place) others(hint string, words []string) offer {
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(p.given, wordOf(w)) })
	return offer{words: words, hint: hint, shell: noFiles}
}

// members are those of a team, with what they are.
func (p *place) members(team string) (list []string) {
	g := p.look()
	for _, t := range g.Teams {
		if t.Name != team {
			continue
		}
		for _, name := range t.Members {
			what := ""
			if i := slices.IndexFunc(g.NICs, func(n api.ListedNIC) bool { return n.Name == name }); i >= 0 {
				what = nicText(&g.NICs[i])
			}
			if st := g.Status[team]; st != nil {
				if i := slices.IndexFunc(st.Members, func(m api.Member) bool { return m.Name == name }); i >= 0 {
					what = strings.TrimSuffix(st.Members[i].State+", "+what, ", ")
				}
			}
			list = append(list, described(name, what))
		}
	}
	return list
}

func nicWord(n *api.ListedNIC) string { return described(n.Name, nicText(n)) }

// nicText says what a NIC is: "igc, 2.5 Gbit/s, 10.0.0.5/24".
func nicText(n *api.ListedNIC) string {
	var parts []string
	if d := cmp.Or(n.Driver, n.Kind); d != "" {
		parts = append(parts, d)
	}
	switch {
	case !n.Up:
		parts = append(parts, "disabled")
	case !n.Link:
		parts = append(parts, "no carrier")
	case n.SpeedBps != 0:
		parts = append(parts, units.Rate(float64(n.SpeedBps)))
	default:
		parts = append(parts, "link up")
	}
	return strings.Join(append(parts, n.Addresses...), ", ")
}

// completeSource completes bonds and teams that run; the shell adds files if there is none that begins so.
func completeSource(p *place) offer {
	o := offer{shell: files}
	for _, n := range p.look().NICs {
		if n.Kind == "bond" || n.Kind == "team" {
			o.words = append(o.words, described(n.Name, "a "+n.Kind+" that runs"))
		}
	}
	return o
}

// completeTopic completes what help explains.
func completeTopic(p *place) offer {
	var o offer
	for _, c := range p.cmd.Root().Commands() {
		if !c.Hidden && c.Name() != "help" {
			o.words = append(o.words, described(c.Name(), c.Short))
		}
	}
	for i := range settings.Table {
		s := &settings.Table[i]
		o.words = append(o.words, described(s.Key, "setting: "+s.Help))
	}
	if len(beginning(p.typed, o.words)) == 0 { // whoever knows bonding
		for i := range settings.Table {
			for _, name := range settings.Table[i].KernelNames() {
				o.words = append(o.words, described(name, fmt.Sprintf("bonding's name of %s", settings.Table[i].Key)))
			}
		}
	}
	o.hint, o.shell = "a command, a topic or a setting", noFiles
	return o
}
