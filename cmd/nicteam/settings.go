package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"nicteam/internal/config"
	"nicteam/internal/settings"
)

// flagSettings are the settings that create has a flag for; team and members are its arguments.
func flagSettings() (list []*settings.Setting) {
	for i := range settings.Table {
		if s := &settings.Table[i]; !s.NoFile && s.Key != "team" && s.Key != "members" {
			list = append(list, s)
		}
	}
	return list
}

func flagName(s *settings.Setting) string { return strings.ReplaceAll(s.Key, "_", "-") }

// repeats reports whether the flag of a setting may be given several times.
func repeats(s *settings.Setting) bool { return s.PerNIC || s.Type == settings.List }

// settingFlags gives a command a flag for each setting.
func settingFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	for _, s := range flagSettings() {
		name := flagName(s)
		if repeats(s) {
			f.StringArray(name, nil, settingHelp(s))
		} else {
			f.String(name, "", settingHelp(s))
		}
		if len(s.Words) > 0 {
			_ = cmd.RegisterFlagCompletionFunc(name,
				cobra.FixedCompletions(s.Words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	f.SortFlags = false
}

// settingHelp is what a setting is for, with its mode, what is allowed and the default.
func settingHelp(s *settings.Setting) string {
	help := s.Help
	if s.Mode != 0 {
		help = s.Mode.String() + ": " + help
	}
	values := s.Values
	if s.PerNIC {
		values = "NIC=N, " + values
	}
	if d := s.Default(); d != "" {
		values = strings.TrimPrefix(values+"; default "+d, "; ")
	}
	if values == "" {
		return help
	}
	return fmt.Sprintf("%s (%s)", help, values)
}

// settingTable lists the settings that are wanted, by mode, each with its default, what it is for and what is allowed.
func settingTable(wanted func(*settings.Setting) bool) string {
	groups := map[string][]*settings.Setting{}
	order := []string{"common"}
	for i := range settings.Table {
		s := &settings.Table[i]
		group := "common"
		switch {
		case !wanted(s):
			continue
		case s.Mode != 0:
			group = s.Mode.String()
		case s.Type == settings.AutoOnOff:
			group = "offloads"
		}
		if !slices.Contains(order, group) {
			order = append(order, group)
		}
		groups[group] = append(groups[group], s)
	}
	var b strings.Builder
	for _, group := range order {
		if len(groups[group]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s:\n", group)
		for _, s := range groups[group] {
			b.WriteString(settingRow(s))
		}
	}
	return b.String()
}

// The columns of a row of settingTable.
const (
	keyColumns  = 25
	textColumns = 92
)

// settingRow is KEY=DEFAULT, the meaning and what is allowed.
func settingRow(s *settings.Setting) string {
	key := s.Key
	if s.PerNIC {
		key += ".NIC"
	}
	if d := s.Default(); d != "" {
		key += "=" + d
	}
	text := s.Help
	if s.Values != "" {
		text += " (" + s.Values + ")"
	}
	line := fmt.Sprintf("  %-*s", keyColumns-3, key)
	indent := strings.Repeat(" ", keyColumns)
	if utf8.RuneCountInString(line) >= keyColumns {
		line += "\n" + indent[:keyColumns-1]
	}
	var b strings.Builder
	columns := keyColumns - 1
	b.WriteString(line)
	for word := range strings.FieldsSeq(text) {
		if columns += 1 + len(word); columns > textColumns {
			b.WriteString("\n" + indent[:keyColumns-1])
			columns = keyColumns + len(word)
		}
		b.WriteString(" " + word)
	}
	return b.String() + "\n"
}

// settingTopic is the help of one setting: its names, and how it is given.
func settingTopic(s *settings.Setting) string {
	text := settingTable(func(t *settings.Setting) bool { return t.Key == s.Key })
	ways := []string{}
	switch value := "VALUE"; {
	case s.PerNIC:
		ways = append(ways, "nicteam set TEAM "+s.Key+".NIC="+value, "--"+flagName(s)+" NIC="+value,
			"NICTEAM_"+strings.ToUpper(s.Key)+"=NIC="+value)
	default:
		if s.Live {
			ways = append(ways, "nicteam set TEAM "+s.Key+"="+value)
		}
		if !s.NoFile {
			ways = append(ways, "--"+flagName(s)+" "+value, "NICTEAM_"+strings.ToUpper(s.Key)+"="+value,
				s.Key+": "+value+"  (file)")
		}
	}
	text += "\n  " + strings.Join(ways, "\n  ")
	if s.Kernel != "" {
		text += "\n\nBonding calls it " + s.Kernel + "."
	}
	return text
}

// givenSettings are the flags that were given, as config wants them.
func givenSettings(cmd *cobra.Command) (list []config.Flag) {
	for _, s := range flagSettings() {
		f := cmd.Flags().Lookup(flagName(s))
		if !f.Changed {
			continue
		}
		value := f.Value.String()
		if repeats(s) {
			values, _ := cmd.Flags().GetStringArray(f.Name)
			value = strings.Join(values, ",")
		}
		list = append(list, config.Flag{Key: s.Key, Value: value})
	}
	return list
}

// completeSetting completes KEY=VALUE of nicteam set.
func completeSetting(_ *cobra.Command, given []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(given) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var list []string
	for i := range settings.Table {
		s := &settings.Table[i]
		key, _, valued := strings.Cut(typed, "=")
		switch {
		case !s.Live || s.PerNIC:
		case !valued:
			list = append(list, s.Key+"=")
		case s.Key == key:
			for _, w := range s.Words {
				list = append(list, key+"="+w)
			}
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
