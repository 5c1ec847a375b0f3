// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"nicteam/internal/settings"
)

// startDHCP makes the clients that continue what an earlier process had, and that of address=dhcp.
func (u *startup) startDHCP(ctx context.Context) {
	d := u.dhcp
	d.others = u.host.LeaseClients()
	u.describeLeaseClients()
	d.load(u.config.Team, u.config.Address == settings.AddressDHCP)
	if u.config.Address == settings.AddressAuto {
		d.takeOverUnsure()
	}
	if u.config.Address != settings.AddressDHCP {
		return
	}
	if !u.strict {
		return // the lease may take as long as it takes
	}
	if !d.acquire(ctx, leaseTimeout) && ctx.Err() == nil {
		u.rep.Warn(fmt.Sprintf("no DHCP server has granted an address within %v; %s goes on asking", leaseTimeout,
			u.config.Team))
		return
	}
	if a := d.status(); a != nil && a.Address != "" {
		u.rep.Step("address: %s by DHCP from %s", a.Address, a.Server)
	}
}

// leaseTimeout is how long a create waits for a lease. Most servers answer at once; some look for a conflict first.
const leaseTimeout = 10 * time.Second

// acquire waits until the adapter of a team with address=dhcp has a lease, for a while.
func (d *dhcpClients) acquire(ctx context.Context, timeout time.Duration) bool {
	d.mu.Lock()
	i := slices.IndexFunc(d.list, func(c *leaseClient) bool { return c.main })
	if i < 0 {
		d.mu.Unlock()
		return true
	}
	c := d.list[i]
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	bound := false
	select {
	case <-c.Bound():
		bound = true
	case <-ctx.Done():
	}
	cancel()
	running.Wait()
	return bound
}

// describeLeaseClients says who renews the leases.
func (u *startup) describeLeaseClients() {
	said := map[string]bool{} // dhcpcd has several processes
	for _, o := range u.dhcp.others {
		for _, nic := range u.presentMembers() {
			text := ""
			switch {
			case o.Program == "dhcpcd" && u.hasLease(nic):
				text = fmt.Sprintf("dhcpcd keeps %s and its leased address; %s follows", nic, u.config.Team)
			case slices.Contains([]string{"dhclient", "udhcpc"}, o.Program) && slices.Contains(o.Args, nic):
				text = fmt.Sprintf("%s keeps %s; %s renews its lease when it cannot", o.Program, nic, u.config.Team)
			}
			if text != "" && !said[text] {
				u.rep.Step("%s", text)
				said[text] = true
			}
		}
	}
	leases, _, err := u.host.LeasesOn(u.adapter.Index())
	if err == nil && u.leases.noClient && len(leases) > 0 {
		u.rep.Step("%s is leased and no DHCP client runs: %s renews it", leases[0].Address, u.config.Team)
	}
}

// hasLease reports whether a member still has a leased address.
func (s *session) hasLease(nic string) bool {
	n, err := s.host.NIC(nic)
	if err != nil {
		return false
	}
	list, _, err := s.host.LeasesOn(n.Index)
	return err == nil && len(list) > 0
}
