// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/settings"
)

func (a *app) setCmd() *cobra.Command {
	var force bool
	var confirm *string
	var dry *bool
	cmd := &cobra.Command{
		Use:   "set TEAM [KEY=VALUE...]",
		Short: "Show or change the live settings of a running team",
		Long: "Changes settings while the team runs; connections continue. All of them take effect or none. Without\n" +
			"KEY=VALUE it shows the current values. An empty value clears primary and active.\n\n" +
			"balance=off leaves one NIC active; balance=on reverts that. datapath=relay moves the frames in user\n" +
			"space, where tcpdump on the adapter sees them.\n\n" +
			"If the gateway does not answer any more, the change is undone (exit 6).\n" + dryRunHelp + "\n\n" +
			confirmHelp + "\n\n" + settingsTable(live),
		Example: `  nicteam set team0
  nicteam set team0 mode=round-robin
  nicteam set team0 active=eth2
  nicteam set team0 rebalance=5s receive_balance=off
  nicteam set team0 weight.eth1=2 hash=layer2+3
  nicteam set team0 mode=802.3ad lacp_rate=fast port_priority.eth1=100
  nicteam set team0 balance=off           # one NIC active, the others stand by
  nicteam set team0 datapath=relay
  nicteam set team0 mode=802.3ad --dry-run
  nicteam set team0 mode=802.3ad --confirm 2m`,
		Args: args(1, -1),
		RunE: func(_ *cobra.Command, given []string) error {
			if len(given) == 1 {
				return a.showSettings(given[0])
			}
			changes, err := pairs(given[1:])
			if err != nil {
				return err
			}
			c := a.client(given[0])
			defer c.Close()
			o, err := a.changeTeamOptions(c, *confirm)
			if err != nil {
				return err
			}
			o.Force = force
			if *confirm == "" && settings.Harmless(changes) {
				o.Confirm = 0
			}
			if *dry {
				return a.dryRun(c, given[0], control.Change{Verb: "set", Settings: changes, Options: o})
			}
			steps, err := c.Set(a.interruptible(), changes, o)
			return a.showChange(given[0], "set "+given[0]+" "+strings.Join(given[1:], " "), o, steps, err)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, forceHelp)
	confirm, dry = confirmFlag(cmd.Flags()), dryRunFlag(cmd.Flags())
	return cmd
}

// pairs parses KEY=VALUE arguments; a key may appear once.
func pairs(given []string) (map[string]string, error) {
	changes := map[string]string{}
	for _, kv := range given {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%q is not KEY=VALUE", kv),
				Why: "want a key, an equals sign and a value", Fix: "write it as mode=xor"}
		}
		if _, twice := changes[k]; twice {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%s is given twice", k),
				Why: "a setting has one value", Fix: "give it once"}
		}
		changes[k] = v
	}
	return changes, nil
}

// showSettings prints the live settings with their current values.
func (a *app) showSettings(name string) error {
	c := a.client(name)
	defer c.Close()
	st, err := c.Status(a.interruptible())
	if err != nil {
		return err
	}
	if a.json {
		return a.document(st)
	}
	current, err := currentSettings(st)
	if err != nil {
		return err
	}
	rows := [][]string{{"KEY", "VALUE", "DEFAULT"}}
	for i := range settings.Table {
		s := &settings.Table[i]
		if !s.Live || s.Mode != 0 && s.Mode.String() != st.Mode {
			continue
		}
		for _, v := range current[s.Key] {
			rows = append(rows, []string{v.key, orDash(v.value), orDash(s.Default())})
		}
	}
	a.table(rows)
	return nil
}

type settingValue struct{ key, value string }

// currentSettings returns the settings of a Status by key; a setting of NICs has one value per NIC.
func currentSettings(st *api.Status) (map[string][]settingValue, error) {
	b, err := json.Marshal(st.Settings)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	var doc map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	doc["mode"], doc["balance"], doc["active"], doc["mtu"] = st.Mode, st.Balance, st.Active, st.Adapter.MTU
	current := map[string][]settingValue{}
	for i := range settings.Table {
		s := &settings.Table[i]
		v, known := doc[s.JSONKey()]
		if !known {
			continue
		}
		text := fmt.Sprint(v)
		switch v := v.(type) {
		case bool:
			text = "off"
			if v {
				text = "on"
			}
		case json.Number:
			if ns, err := v.Int64(); err == nil && s.Type == settings.Duration {
				text = time.Duration(ns).String()
			}
		}
		current[s.Key] = []settingValue{{s.Key, text}}
	}
	for _, m := range st.Members {
		current["weight"] = append(current["weight"],
			settingValue{"weight." + m.Name, strconv.FormatFloat(m.Weight, 'f', -1, 64)})
		if m.LACP != nil {
			current["port_priority"] = append(current["port_priority"],
				settingValue{"port_priority." + m.Name, fmt.Sprint(m.LACP.Actor.PortPriority)})
		}
	}
	return current, nil
}
