package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

func (a *app) setCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "set TEAM [KEY=VALUE...]",
		Short: "Change live settings of a running team, or print them",
		Long: `Changes settings while the team runs; connections are not touched. All of them take effect or none.
Without KEY=VALUE it prints the present values.
Settings of 802.3ad are refused in other modes. A change of the data path loses no frame; tcpdump on
the adapter sees frames with datapath=relay only.

` + settingTable(func(s *settings.Setting) bool { return s.Live }),
		Example: `  nicteam set team0 mode=round-robin
  nicteam set team0 active=eth2
  nicteam set team0 rebalance=5s receive_balance=off
  nicteam set team0 weight.eth1=2 hash=layer2+3
  nicteam set team0 mode=802.3ad lacp_rate=fast port_priority.eth1=100
  nicteam set team0 balance=off           # one NIC active, the others stand by
  nicteam set team0 datapath=relay`,
		Args:              args(1, -1),
		ValidArgsFunction: completeSetting,
		RunE: func(_ *cobra.Command, given []string) error {
			changes, err := pairs(given[1:])
			if err != nil {
				return err
			}
			c := a.client(given[0])
			defer c.Close()
			if len(changes) == 0 {
				st, err := c.Status(a.interruptible())
				if err != nil {
					return err
				}
				return a.showSettings(st)
			}
			steps, err := c.Set(a.interruptible(), changes)
			if err != nil {
				return err
			}
			return a.showSteps(given[0], steps)
		},
	}
}

// showSettings prints the live settings of a team as set takes them, or with --json as its status has them.
func (a *app) showSettings(st *api.Status) error {
	if a.json {
		return a.document(st)
	}
	b, err := json.Marshal(st.Settings)
	if err != nil {
		return err
	}
	values := map[string]any{}
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	values["mode"], values["balance"], values["active"], values["mtu"] = st.Mode, st.Balance, st.Active, float64(st.Adapter.MTU)
	for i := range settings.Table {
		s := &settings.Table[i]
		if v, ok := values[s.JSONKey()]; ok && s.Live && (s.Mode == 0 || s.Mode.String() == st.Mode) {
			a.say("%s=%s", s.Key, valueText(s, v))
		}
	}
	for _, m := range st.Members {
		a.say("weight.%s=%v", m.Name, m.Weight)
		if m.LACP != nil {
			a.say("port_priority.%s=%d", m.Name, m.LACP.Actor.PortPriority)
		}
	}
	return nil
}

// valueText writes a value of a document as set takes it.
func valueText(s *settings.Setting, v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "on"
		}
		return "off"
	case float64:
		if s.Type == settings.Duration {
			return time.Duration(v).String()
		}
	}
	return fmt.Sprint(v)
}

// pairs reads KEY=VALUE; a key may stand once.
func pairs(given []string) (map[string]string, error) {
	changes := map[string]string{}
	for _, kv := range given {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%q is not KEY=VALUE", kv),
				Why: "a setting is followed by an equals sign and its value", Fix: "write it as mode=xor"}
		}
		if _, twice := changes[k]; twice {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%s is given twice", k),
				Why: "a setting has one value", Fix: "give it once"}
		}
		changes[k] = v
	}
	return changes, nil
}
