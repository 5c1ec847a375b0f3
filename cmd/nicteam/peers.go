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
		Short: "elb: show which peer reaches us by which NIC",
		Long: `Shows the hosts that a team in mode elb has told by which NIC to reach it: the peer's address,
our address that it talks to, the peer's MAC, the NIC, what it sends us, how long it has had
that NIC, and how often it was told without having asked. With --json there is one document
(nicteam.peers/v1).

A team that steers no peers, because it is in another mode or receive_balance or balance is off,
has an empty table and a line that says why.`,
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

// showPeers is the table for people.
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
		a.say("%s has met no peer yet", p.Team)
	}
}
