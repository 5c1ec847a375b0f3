// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

// settingFlags gives a command a flag for each setting.
func settingFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	for _, s := range flagSettings() {
		usage := s.Help
		if d := s.Default(); d != "" {
			usage += " (default " + d + ")"
		}
		f.Var(newSettingFlag(s), flagName(s), usage)
		for _, name := range s.KernelNames() {
			name = strings.ReplaceAll(name, "_", "-")
			f.Var(newSettingFlag(s), name, usage)
			_ = f.MarkHidden(name)
		}
	}
	f.SortFlags = false
	cmd.SetUsageFunc(groupedUsage)
}

// settingFlag is the value of a setting's flag.
type settingFlag struct {
	typ     string // in help
	repeats bool   // it may be given several times
	given   []string
}

// repeatedFlag is one that completion offers again when it was given: GetSlice tells cobra.
type repeatedFlag struct{ *settingFlag }

func (f repeatedFlag) GetSlice() []string { return f.given }

func newSettingFlag(s *settings.Setting) pflag.Value {
	f := &settingFlag{typ: flagValue(s), repeats: s.PerNIC || s.Type == settings.List}
	if f.repeats {
		return repeatedFlag{f}
	}
	return f
}

// setsSetting reports whether a flag is one of settingFlags.
func setsSetting(f *pflag.Flag) bool {
	switch f.Value.(type) {
	case *settingFlag, repeatedFlag:
		return true
	}
	return false
}

func (f *settingFlag) String() string { return strings.Join(f.given, ",") }
func (f *settingFlag) Type() string   { return f.typ }

func (f *settingFlag) Set(v string) error {
	if !f.repeats {
		f.given = nil
	}
	f.given = append(f.given, v)
	return nil
}

// flagValue is a flag's value in help: the words of a short choice, else the type.
func flagValue(s *settings.Setting) string {
	const longest = 28
	choice := strings.Join(s.Words, "|")
	switch {
	case s.PerNIC:
		return "NIC=N"
	case s.Type == settings.OnOff:
		return "on|off"
	case s.Type == settings.AutoOnOff:
		return "auto|on|off"
	case s.Type == settings.Whole || s.Type == settings.Number:
		return "N"
	case s.Type == settings.NIC:
		return "NIC"
	case s.Type == settings.Duration:
		return "duration"
	case len(s.Stems) > 0:
		return "SPEC"
	case s.Values == settings.OneOf(s.Words) && len(choice) <= longest:
		return choice
	}
	return s.Key[strings.LastIndexByte(s.Key, '_')+1:]
}

// group is the heading under which help lists a setting.
func group(s *settings.Setting) string {
	switch {
	case s.Mode != 0:
		return s.Mode.String()
	case s.Type == settings.AutoOnOff:
		return "offloads"
	}
	return "common"
}

// groups are the headings of settings, in the order of help.
func groups() (list []string) {
	for i := range settings.Table {
		if g := group(&settings.Table[i]); !slices.Contains(list, g) {
			list = append(list, g)
		}
	}
	return list
}

// flagGroup are flags under a heading.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// flagGroups returns a command's own flags: those that set no setting, then settings by group.
func flagGroups(cmd *cobra.Command) (list []flagGroup) {
	own := map[string]*pflag.FlagSet{}
	for _, g := range append([]string{""}, groups()...) {
		own[g] = pflag.NewFlagSet(g, pflag.ContinueOnError)
		own[g].SortFlags = false
		list = append(list, flagGroup{g, own[g]})
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		g := ""
		if setsSetting(f) {
			if s := settings.Find(strings.ReplaceAll(f.Name, "-", "_")); s != nil {
				g = group(s)
			}
		}
		own[g].AddFlag(f)
	})
	return list
}

// groupedUsage prints the usage of a command with flags for settings, grouped under headings.
func groupedUsage(cmd *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n\nExamples:\n%s\n", cmd.UseLine(), cmd.Example)
	own := flagGroups(cmd)
	fmt.Fprintf(&b, "\nFlags:\n%s", own[0].flags.FlagUsages())
	for _, g := range own[1:] {
		if u := g.flags.FlagUsages(); u != "" {
			fmt.Fprintf(&b, "\nSettings, %s:\n%s", g.title, u)
		}
	}
	fmt.Fprintf(&b, "\nGlobal flags:\n%s", cmd.InheritedFlags().FlagUsages())
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// settingsTable lists settings by group: key, allowed values, default and meaning.
func settingsTable(wanted func(*settings.Setting) bool) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, g := range groups() {
		head := "\n" + strings.ToUpper(g) + "\tVALUES\tDEFAULT\tMEANING\n"
		for i := range settings.Table {
			s := &settings.Table[i]
			if group(s) != g || !wanted(s) {
				continue
			}
			fmt.Fprintf(w, "%s  %s\t%s\t%s\t%s\n", head, settingKey(s), allowed(s), orDash(s.Default()), s.Help)
			head = ""
		}
	}
	_ = w.Flush() // a strings.Builder cannot fail
	return strings.Trim(b.String(), "\n")
}

// settingKey is how nicteam set names a setting.
func settingKey(s *settings.Setting) string {
	if s.PerNIC {
		return s.Key + ".NIC"
	}
	return s.Key
}

func allowed(s *settings.Setting) string {
	if s.Values == "" {
		return s.Type.String()
	}
	return s.Values
}

func live(s *settings.Setting) bool { return s.Live }

// givenSettings returns the flags that were given, for config.Load; those by bonding's names have bonding's values.
func givenSettings(cmd *cobra.Command) (list []config.Flag) {
	for _, s := range flagSettings() {
		value, given := "", false
		for _, name := range append([]string{flagName(s)}, s.KernelNames()...) {
			if f := cmd.Flags().Lookup(strings.ReplaceAll(name, "_", "-")); f.Changed {
				value, given = settings.FromBonding(name, f.Value.String(), value), true
			}
		}
		if given {
			list = append(list, config.Flag{Key: s.Key, Value: value})
		}
	}
	return list
}
