// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/units"
)

func (a *app) peersCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "peers TEAM",
		Short: "elb: show which peer sends to which NIC",
		Long: `Shows the peers of a team in mode elb and the NIC that each sends to: the peer's address, the
local address, the peer's MAC, the NIC, the rate received, how long the peer has had that NIC, and
the notifications sent without a request. --json prints one document (nicteam.peers/v1).

The table is empty, with the reason below it, in other modes and with receive_balance or balance off.`,
		Example: `  nicteam peers team0
  nicteam peers team0 --json`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, given []string) error {
			c := a.client(given[0])
			defer c.Close()
			p, err := c.Peers(a.interruptible())
			switch {
			case err != nil:
				return err
			case a.json:
				return a.document(p)
			case !a.quiet:
				a.showPeers(p, time.Now())
			}
			return nil
		},
	}
}

// showPeers prints the table of peers.
func (a *app) showPeers(p *api.Peers, now time.Time) {
	rows := [][]string{{"PEER", "OURS", "MAC", "NIC", "RX", "SINCE", "TOLD"}}
	for _, e := range p.Peers {
		address := e.Address
		if e.VLAN != 0 {
			address += fmt.Sprintf(" vlan %d", e.VLAN)
		}
		rows = append(rows, []string{address, e.Ours, e.MAC, orDash(e.Member), units.Rate(float64(e.RxBps)),
			ago(now.Sub(e.Since)), fmt.Sprint(e.Told)})
	}
	a.table(rows)
	switch {
	case p.Reason != "":
		a.say("%s steers no peers: %s", p.Team, p.Reason)
	case len(p.Peers) == 0:
		a.say("%s has no peers yet", p.Team)
	}
}
