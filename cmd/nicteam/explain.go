// SPDX-License-Identifier: MIT

package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) explainCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "explain TEAM FLOW",
		Short: "Show which NIC carries a flow, and why",
		Long: `Shows which NIC carries a flow that this host sends, and why. A flow is a protocol, the local
and the remote address; tcp and udp have ports. Optional: "to MAC" (next hop, for hashes of
layer 2), "from MAC" (a guest behind the adapter), "vlan ID".`,
		Example: `  nicteam explain team0 tcp 10.0.0.1:5000 10.0.0.2:80
  nicteam explain team0 icmp 10.0.0.1 10.0.0.2
  nicteam explain team0 udp [fd00::1]:5000 [fd00::2]:53 from 52:54:00:00:00:01 vlan 5`,
		Args: args(2, -1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			e, err := c.Explain(a.interruptible(), strings.Join(given[1:], " "))
			if err != nil {
				return err
			}
			if a.json {
				return a.document(e)
			}
			member := e.Member
			if member == "" {
				member = "no single NIC"
			}
			a.say("%s: %s", e.Flow, member)
			a.say("  %s", e.Why)
			switch {
			case e.Member == "":
			case e.Next != "" && !strings.Contains(e.NextWhy, e.Next):
				a.say("  without %s: %s%s", e.Member, e.Next, parenthesis(e.NextWhy))
			case e.NextWhy != "":
				a.say("  without %s: %s", e.Member, e.NextWhy)
			}
			for _, n := range e.Not {
				a.say("  not %s: %s: %s", n.Member, n.State, n.Reason)
			}
			return nil
		},
	}
}
