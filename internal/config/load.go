// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/viper"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// Options say where a configuration comes from. What is empty has no say.
type Options struct {
	Team    string   // the command's argument
	Members []string // the command's arguments; weights of a file stay with NICs that both name
	Flags   []Flag
	Env     []string  // as os.Environ gives it
	Path    string    // a file: .yaml, .yml, .toml or .json
	In      io.Reader // YAML in place of a file, which messages call Path; nil: a file
	New     bool      // the team is to be made: it needs a NIC

	// RealName is the name of the NIC that is called so or has it as an altname; nil: names are what they are.
	RealName func(string) string
}

// Flag is a setting from the command line.
type Flag struct {
	Key   string // as in a file
	Value string // NIC=N[,NIC=N] of settings of a member
}

// Loaded is a validated configuration and what its user should know about it.
type Loaded struct {
	Config  settings.Config
	Notes   []string
	Ignored []string // those of Notes that are about variables that are no settings

	// RandomSystem says that lacp_system was asked to be random, and drawn just now.
	RandomSystem bool
}

// loader is one load. Its viper merges file, variables and flags, and ends with it.
type loader struct {
	v       *viper.Viper
	path    string
	lines   lines
	origin  map[string]string // key → variable or flag; "": an argument
	perNIC  []nicValue        // of variables, then of flags
	foreign []string          // variables that look like settings and are none
}

// nicValue is what a variable or flag says of one NIC.
type nicValue struct {
	s          *settings.Setting
	nic, value string
}

// Load reads, merges and validates. Its errors are *api.Problem.
func Load(o Options) (*Loaded, error) {
	if o.RealName == nil {
		o.RealName = sameName
	}
	l := newLoader(o.Path)
	for _, step := range []func(Options) *api.Problem{l.file, l.env, l.flags} {
		if p := step(o); p != nil {
			return nil, p
		}
	}
	c, f := l.config(o)
	if f == nil {
		f = settings.Validate(&c)
	}
	if f == nil && o.New && len(c.Members) == 0 {
		f = &settings.Fault{What: "no NIC given", Why: "a team is made of at least one",
			Fix: "nicteam create " + c.Team + " NIC [NIC...]; nicteam list shows the NICs of this host"}
	}
	if f != nil {
		return nil, problem(f, l.where(f.Key))
	}
	return &Loaded{Config: c, Notes: l.notes(o, &c), Ignored: l.foreign,
		RandomSystem: strings.EqualFold(l.v.GetString("lacp_system"), "random")}, nil
}

// Parse reads and validates YAML that is called name in errors, which are *api.Problem.
func Parse(name, text string) (settings.Config, error) {
	l := newLoader(name)
	if p := l.document([]byte(text), readYAML, "yaml"); p != nil {
		return settings.Config{}, p
	}
	c, f := l.config(Options{RealName: sameName})
	if f == nil {
		f = settings.Validate(&c)
	}
	if f != nil {
		return settings.Config{}, problem(f, l.where(f.Key))
	}
	return c, nil
}

func newLoader(path string) *loader {
	// names of NICs have dots
	return &loader{v: viper.NewWithOptions(viper.KeyDelimiter("::")), path: path, origin: map[string]string{}}
}

func sameName(name string) string { return name }

// flags merges the command line.
func (l *loader) flags(o Options) *api.Problem {
	for _, fl := range o.Flags {
		name := "--" + strings.ReplaceAll(fl.Key, "_", "-")
		s := settings.Find(fl.Key)
		if s == nil {
			return problem(unknownKey(fl.Key, fl.Key, flagKeys()), name)
		}
		if f := l.merge(s, fl.Value, name); f != nil {
			return problem(f, name)
		}
	}
	if o.Team != "" {
		l.v.Set("team", o.Team)
		l.origin["team"] = ""
	}
	return nil
}

// merge takes over the value of a variable or flag. Its type is checked at once, whether or not another value wins.
func (l *loader) merge(s *settings.Setting, value, origin string) *settings.Fault {
	l.origin[s.Key] = origin
	if !s.PerNIC {
		l.v.Set(s.Key, value)
		scratch := settings.DefaultConfig()
		return s.Set(&scratch, value)
	}
	for part := range strings.SplitSeq(value, ",") {
		nic, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || nic == "" {
			return &settings.Fault{Key: s.Key, What: fmt.Sprintf("%q is not NIC=N", part),
				Why: "it is a setting of a single NIC", Fix: "write it as eth1=2"}
		}
		l.perNIC = append(l.perNIC, nicValue{s, nic, v})
	}
	return nil
}

// config makes a configuration of what was merged.
func (l *loader) config(o Options) (settings.Config, *settings.Fault) {
	c := settings.DefaultConfig()
	for i := range settings.Table {
		s := &settings.Table[i]
		if l.v.IsSet(s.Key) {
			if f := s.Set(&c, l.v.Get(s.Key)); f != nil {
				return c, f
			}
		}
		if s.Key == "members" { // before settings that name one
			l.members(&c, o)
		}
	}
	if c.Primary != "" {
		c.Primary = o.RealName(c.Primary)
	}
	for _, p := range l.perNIC {
		i := c.Index(o.RealName(p.nic))
		f := settings.NoMember(p.nic, &c)
		if i >= 0 {
			f = p.s.SetMember(&c, i, p.value)
		}
		if f != nil {
			if f.Key = p.s.Key; !f.NotFound {
				f.What = p.nic + ": " + f.What
			}
			return c, f
		}
	}
	for i := range settings.Table {
		s := &settings.Table[i]
		if path := l.given(s); path != "" {
			if f := s.Foreign(&c); f != nil {
				f.Key = path
				return c, f
			}
		}
	}
	return c, nil
}

// members puts the names of NICs in place of altnames, and the members of the command line in place of those of the
// file.
func (l *loader) members(c *settings.Config, o Options) {
	for i := range c.Members {
		c.Members[i].Name = o.RealName(c.Members[i].Name)
	}
	if len(o.Members) == 0 {
		return
	}
	l.origin["members"] = ""
	var list []settings.MemberConfig
	for _, name := range o.Members {
		m := settings.DefaultMember(o.RealName(name))
		if i := c.Index(m.Name); i >= 0 {
			m = c.Members[i]
		}
		list = append(list, m)
	}
	c.Members = list
}

func (l *loader) notes(o Options, c *settings.Config) []string {
	notes := slices.Concat(l.foreign, c.Costs())
	if o.New && len(c.Members) == 1 {
		notes = append(notes, "one NIC only: nothing takes over when it fails; add another: nicteam add "+c.Team+" NIC")
	}
	return notes
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
