package main

import (
	"fmt"
	"strings"

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
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(s.Words, cobra.ShellCompDirectiveNoFileComp))
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
