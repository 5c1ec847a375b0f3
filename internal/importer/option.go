// SPDX-License-Identifier: MIT

package importer

import (
	"slices"
	"strings"
)

// An Option is an option of bonding or teamd, and what becomes of it.
type Option struct {
	Key     string // the kernel's name, or teamd's path
	Netplan string // netplan's name of it, "" for none
	Setting string // ours, "" if there is no equal
	// Same are values that say what nicteam does anyway: nothing is to be told of them.
	Same []string
	// Note says what nicteam does instead, or how the setting differs.
	Note string

	// take makes a setting of a value. nil: the value is the setting's, or there is none.
	take func(*builder, Entry)
	// port makes a setting of a member's value.
	port func(*builder, string, Entry)
}

// find returns the row of a key.
func find(table []Option, key string) *Option {
	for i := range table {
		if table[i].Key == key {
			return &table[i]
		}
	}
	return nil
}

// same reports whether a value says what nicteam does anyway.
func (o *Option) same(value string) bool {
	return slices.ContainsFunc(o.Same, func(s string) bool { return strings.EqualFold(s, value) })
}

// canonical is a name with underscores, as bonding has it: bond-lacp-rate is lacp_rate.
func canonical(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// bondingKey returns the key of what a source calls a bonding option. aliases are its own names.
func bondingKey(name string, aliases map[string]string) string {
	key := canonical(name)
	if own, ok := aliases[key]; ok {
		return own
	}
	return key
}

// truth reads a switch as the sources write it.
func truth(v string) (on, ok bool) {
	switch strings.ToLower(v) {
	case "1", "on", "true", "yes", "y", "t":
		return true, true
	case "0", "off", "false", "no", "n", "f":
		return false, true
	}
	return false, false
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
