package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

func (a *app) setCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "set TEAM KEY=VALUE...",
		Short: "Change live settings of a running team",
		Long: `Changes settings while the team runs; connections are not touched. All of them take effect or none.
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
		Args:              args(2, -1),
		ValidArgsFunction: completeSetting,
		RunE: func(_ *cobra.Command, given []string) error {
			changes, err := pairs(given[1:])
			if err != nil {
				return err
			}
			c := a.client(given[0])
			defer c.Close()
			steps, err := c.Set(a.interruptible(), changes)
			if err != nil {
				return err
			}
			return a.showSteps(given[0], steps)
		},
	}
}

// pairs reads KEY=VALUE; a key may stand once.
func pairs(given []string) (map[string]string, error) {
	changes := map[string]string{}
	for _, kv := range given {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%q is not KEY=VALUE", kv),
				Why: "a setting has its value behind an equals sign", Fix: "write it as mode=xor"}
		}
		if _, twice := changes[k]; twice {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%s is given twice", k),
				Why: "a setting has one value", Fix: "give it once"}
		}
		changes[k] = v
	}
	return changes, nil
}
