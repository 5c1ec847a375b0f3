package main

import (
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/config"
)

// settingFlags gives a command a flag for each setting, named with dashes.
func settingFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	for _, k := range config.Keys() {
		if k.Name == "team" || k.Name == "members" {
			continue // the arguments
		}
		name := strings.ReplaceAll(k.Name, "_", "-")
		if k.List {
			f.StringArray(name, nil, k.Help)
		} else {
			f.String(name, "", k.Help)
		}
	}
	f.StringArray("weight", nil, "a NIC's share as NIC=N; may be given several times")
	f.StringArray("port-priority", nil, "802.3ad: a NIC's priority as NIC=N, 0 to 65535, the lower the better; may be given several times")
	f.SortFlags = false
}

// givenSettings are the flags that were given, as config wants them.
func givenSettings(cmd *cobra.Command) []config.Flag {
	var list []config.Flag
	add := func(key, name string, many bool) {
		if !cmd.Flags().Changed(name) {
			return
		}
		value := ""
		if many {
			values, _ := cmd.Flags().GetStringArray(name)
			value = strings.Join(values, ",")
		} else {
			value, _ = cmd.Flags().GetString(name)
		}
		list = append(list, config.Flag{Key: key, Value: value})
	}
	for _, k := range config.Keys() {
		if k.Name != "team" && k.Name != "members" {
			add(k.Name, strings.ReplaceAll(k.Name, "_", "-"), k.List)
		}
	}
	add("weight", "weight", true)
	add("port_priority", "port-priority", true)
	return list
}
