// SPDX-License-Identifier: MIT

package settings

import (
	"fmt"
	"slices"

	"nicteam/internal/ifname"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// MaxMembers is the most members that a team has.
const MaxMembers = spread.MaxMembers

// MaxWeight bounds weights.
const MaxWeight = 1e6

// The settings of a member. See value: the member is Config.Members[0].
var (
	weight       = number(func(c *Config) *float64 { return &c.Members[0].Weight }, MaxWeight)
	portPriority = whole(func(c *Config) *uint16 { return &c.Members[0].PortPriority }, 0, maxPriority)

	memberSettings = []struct {
		key string
		value
	}{{"weight", weight}, {"port_priority", portPriority}}
)

// DefaultMember returns a member with the defaults.
func DefaultMember(name string) MemberConfig {
	return MemberConfig{Name: name, Weight: 1, PortPriority: modes.DefaultPortPriority}
}

// defaults is DefaultConfig with one member.
func defaults() *Config {
	c := DefaultConfig()
	c.Members = []MemberConfig{DefaultMember("")}
	return &c
}

// SetMember gives member i the value v, and checks it.
func (s *Setting) SetMember(c *Config, i int, v any) *Fault {
	m, f := setMember(s.value, c.Members[i], v)
	if f == nil {
		c.Members[i] = m
	}
	return f
}

// MemberText returns the value of a setting of a member as people write it.
func (s *Setting) MemberText(m MemberConfig) string {
	return s.Text(&Config{Members: []MemberConfig{m}})
}

func setMember(v value, m MemberConfig, to any) (MemberConfig, *Fault) {
	one := Config{Members: []MemberConfig{m}}
	f := v.set(&one, to)
	if f == nil {
		f = v.check(&one)
	}
	return one.Members[0], f
}

// Index returns the number of a member, -1 when no member has that name.
func (c *Config) Index(name string) int {
	return slices.IndexFunc(c.Members, func(m MemberConfig) bool { return m.Name == name })
}

func (c *Config) has(name string) bool { return c.Index(name) >= 0 }

// memberEntry is a member in a file.
type memberEntry struct {
	Name         string  `yaml:"name"`
	Weight       float64 `yaml:"weight"`
	PortPriority *uint16 `yaml:"port_priority,omitempty"` // in mode 802.3ad
}

// nics is the list of members.
var nics = value{Type: NICs,
	get: func(c *Config) any {
		list := []memberEntry{}
		for _, m := range c.Members {
			e := memberEntry{Name: m.Name, Weight: m.Weight}
			if c.Mode == modes.LACP {
				e.PortPriority = &m.PortPriority
			}
			list = append(list, e)
		}
		return list
	},
	set: func(c *Config, v any) *Fault {
		c.Members = nil
		list, ok := v.([]any)
		if !ok {
			for _, name := range asList(v) {
				c.Members = append(c.Members, DefaultMember(name))
			}
		}
		for i, e := range list {
			m, f := parseMember(e)
			if f != nil {
				f.Key = fmt.Sprintf("[%d].%s", i, f.Key)
				return f
			}
			c.Members = append(c.Members, m)
		}
		return nil
	},
	check: checkMembers,
}

// parseMember reads a name, or {name, weight, port_priority}.
func parseMember(v any) (m MemberConfig, f *Fault) {
	entry, ok := v.(map[string]any)
	if !ok {
		return DefaultMember(asText(v)), nil
	}
	m = DefaultMember(asText(entry["name"]))
	for _, s := range memberSettings {
		v, given := entry[s.key]
		if !given {
			continue
		}
		if m, f = setMember(s.value, m, v); f != nil {
			f.Key = s.key
			return m, f
		}
	}
	return m, nil
}

func checkMembers(c *Config) *Fault {
	if len(c.Members) > MaxMembers {
		return &Fault{What: fmt.Sprintf("%d are too many", len(c.Members)),
			Why: fmt.Sprintf("a team has at most %d", MaxMembers), Fix: "make two teams"}
	}
	for i, m := range c.Members {
		if why := ifname.Invalid(m.Name); why != "" {
			return &Fault{Key: fmt.Sprintf("[%d].name", i), What: fmt.Sprintf("%q cannot be the name of a NIC", m.Name),
				Why: why,
				Fix: "nicteam list shows the NICs of this host"}
		}
		key := fmt.Sprintf("[%d]", i)
		switch {
		case c.Index(m.Name) < i:
			return &Fault{Key: key, What: fmt.Sprintf("NIC %q is named twice", m.Name), Why: "a NIC is one member",
				Fix: "name it once"}
		case m.Name == c.Team:
			return &Fault{Key: key, What: fmt.Sprintf("%q is the team itself", m.Name),
				Why: "a team cannot be its own member", Fix: "give the team another name"}
		}
		if f := CheckMember(m); f != nil {
			f.Key = key + "." + f.Key
			return f
		}
	}
	return nil
}

// CheckMember returns the fault of a member's own settings, nil when all are allowed.
func CheckMember(m MemberConfig) *Fault {
	one := Config{Members: []MemberConfig{m}}
	for _, s := range memberSettings {
		if f := s.check(&one); f != nil {
			f.Key = s.key
			return f
		}
	}
	return nil
}
