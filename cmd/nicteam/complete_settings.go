// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// completeAssignment completes KEY=VALUE of nicteam set.
func completeAssignment(p *place) offer {
	team := p.given[0]
	name, value, valued := strings.Cut(p.typed, "=")
	if !valued {
		return p.keys(team)
	}
	key, nic, _ := strings.Cut(settings.Canonical(name), ".")
	s := settings.Find(key)
	if s == nil || !s.Live || s.PerNIC != (nic != "") {
		return offer{hint: fmt.Sprintf("%q is not a setting that can be changed", name), shell: noFiles}
	}
	o := offer{hint: settingHint(s, name), shell: noFiles}
	if !s.PerNIC {
		o = completeValue(s, name, value, func() []string { return p.members(team) })
	}
	words := make([]string, len(o.words))
	for i, w := range o.words {
		words[i] = name + "=" + w
	}
	o.words = words
	return o
}

// keys completes the key of an assignment: of the settings that count in the mode of the team, or in that which is
// being set.
func (p *place) keys(team string) offer {
	st := p.look().Status[team]
	mode := ""
	if st != nil {
		mode = st.Mode
	}
	set := map[string]bool{}
	for _, kv := range p.given[1:] {
		k, v, _ := strings.Cut(kv, "=")
		set[settings.Canonical(k)] = true
		if k == "mode" {
			mode = modeName(v)
		}
	}
	o := offer{hint: "nicteam help settings lists the settings", shell: goesOn}
	var bonding []string
	for i := range settings.Table {
		s := &settings.Table[i]
		if !s.Live || set[s.Key] || s.Mode != 0 && mode != "" && s.Mode.String() != mode {
			continue
		}
		keys := []string{s.Key}
		if s.PerNIC {
			keys = nil
			for _, m := range p.members(team) {
				if key := s.Key + "." + wordOf(m); !set[key] {
					keys = append(keys, key)
				}
			}
		}
		for _, key := range keys {
			o.words = append(o.words, described(key+"=", s.Help+now(st, s, key)))
		}
		if !s.PerNIC {
			for _, name := range s.KernelNames() {
				bonding = append(bonding, described(name+"=", "bonding's name of "+s.Key))
			}
		}
	}
	if len(beginning(p.typed, o.words)) == 0 {
		o.words = bonding
	}
	return o
}

// modeName is the name of a mode for what people type, "" for none.
func modeName(typed string) string {
	c := settings.DefaultConfig()
	if f := settings.Find("mode").Set(&c, typed); f != nil {
		return ""
	}
	return c.Mode.String()
}

// now says which value a setting has.
func now(st *api.Status, s *settings.Setting, key string) string {
	if st == nil {
		return ""
	}
	current, err := currentSettings(st)
	if err != nil {
		return ""
	}
	for _, v := range current[s.Key] {
		if v.key == key && v.value != "" {
			return "; now " + v.value
		}
	}
	return ""
}

// completeSettingFlag completes the value of a flag that sets a setting: NIC=N of a setting of members.
func completeSettingFlag(p *place) offer {
	name := strings.ReplaceAll(p.flag.Name, "-", "_")
	s := settings.Find(settings.Canonical(name))
	switch {
	case s == nil:
		return offer{shell: noFiles}
	case !s.PerNIC:
		return completeValue(s, name, p.typed, p.chosen)
	case strings.Contains(p.typed, "="):
		return offer{hint: settingHint(s, name), shell: noFiles}
	}
	o := offer{hint: settingHint(s, name), shell: goesOn}
	for _, nic := range p.chosen() {
		word, what, _ := strings.Cut(nic, "\t")
		o.words = append(o.words, described(word+"=", what))
	}
	return o
}

// chosen are the NICs that were given to create, or those that could be.
func (p *place) chosen() (list []string) {
	g := p.look()
	for _, name := range p.given[min(1, len(p.given)):] {
		what := ""
		if i := slices.IndexFunc(g.NICs, func(n api.ListedNIC) bool { return n.Name == name }); i >= 0 {
			what = nicText(&g.NICs[i])
		}
		list = append(list, described(name, what))
	}
	if len(list) == 0 {
		for i := range g.Free {
			list = append(list, nicWord(&g.Free[i]))
		}
	}
	return list
}

// completeValue completes the value of a setting that was given by a name of it; nics are those that it may name.
func completeValue(s *settings.Setting, name, typed string, nics func() []string) offer {
	o := offer{hint: settingHint(s, name), shell: noFiles}
	bonding := name != s.Key
	switch {
	case bonding && s.Type == settings.List: // addresses
	case s.Type == settings.NIC:
		o.words = append(nics(), described("none", "no NIC"))
	case len(s.Stems) > 0:
		o.words, o.shell = listWords(s, typed), goesOn
	default:
		for _, w := range s.Words {
			o.words = append(o.words, described(w, wordText(s, w)))
		}
		if len(beginning(typed, o.words)) == 0 {
			o.words = s.Others
		}
	}
	return o
}

// listWords completes the last entry of a list.
func listWords(s *settings.Setting, typed string) (list []string) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	has := strings.Split(before, ",")
	for _, w := range slices.Concat(s.Words, s.Stems) {
		if !slices.Contains(has, w) {
			list = append(list, described(before+w, wordText(s, w)))
		}
	}
	return list
}

// wordText says what a word means as a value of a setting, and which one is the default.
func wordText(s *settings.Setting, word string) string {
	text := strings.TrimSuffix(s.Says[word], ".")
	if word == s.Default() && !strings.Contains(text, "default") {
		text = strings.TrimPrefix(text+"; the default", "; ")
	}
	return text
}

// settingHint says what a setting wants.
func settingHint(s *settings.Setting, name string) string {
	hint := fmt.Sprintf("%s: %s: %s", name, s.Help, allowed(s))
	if name != s.Key && s.Type == settings.Duration {
		hint += ", or milliseconds without a unit"
	}
	if d := s.Default(); d != "" {
		hint += " (default " + d + ")"
	}
	return hint
}
