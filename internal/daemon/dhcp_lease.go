// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nicteam/internal/dhcp"
	"nicteam/internal/host"
	"nicteam/internal/managers"
)

// apply configures a lease on the adapter.
func (c *leaseClient) apply(l dhcp.Lease) error {
	isNew, err := c.configure(l)
	if c.main && len(l.DNS) > 0 {
		err = errors.Join(err, c.d.setDNS(l))
	}
	if isNew {
		c.d.s.team.Record("lease-acquired", "", describeLease(l))
		return errors.Join(err, c.d.s.team.Announce(context.Background()))
	}
	return err
}

// setDNS makes systemd-resolved ask the servers of the lease, at each renewal again: it may have been restarted. Where
// it does not run, nothing is changed: nobody knows who owns /etc/resolv.conf.
func (d *dhcpClients) setDNS(l dhcp.Lease) error {
	ctx, cancel := context.WithTimeout(context.Background(), dnsTimeout)
	defer cancel()
	err := d.s.managers.SetDNS(ctx, d.s.adapter.Index(), l.DNS, l.Search)
	if errors.Is(err, managers.ErrNoResolver) {
		return nil
	}
	return err
}

// dnsTimeout bounds a call of systemd-resolved.
const dnsTimeout = 5 * time.Second

// configure is apply without events. isNew: it is the client's first lease, or has another address.
func (c *leaseClient) configure(l dhcp.Lease) (isNew bool, err error) {
	d := c.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held || !slices.Contains(d.list, c) {
		return false, nil
	}
	left := time.Duration(0)
	if !l.Expires.IsZero() {
		left = l.Expires.Sub(dhcp.Now())
	}
	var routes, was []host.LeaseRoute
	if c.main {
		routes, was = leaseRoutes(l), leaseRoutes(c.applied)
	}
	err = d.s.host.ApplyLease(d.s.adapter.Index(), l.Address, left, routes, was)
	isNew = c.applied.Address != l.Address || !c.applied.Server.IsValid()
	c.applied, c.appliedAt = l, time.Now()
	d.save()
	return isNew, err
}

// lost removes a lease that the server refuses, or that has expired.
func (c *leaseClient) lost(l dhcp.Lease, why string) {
	d := c.d
	d.mu.Lock()
	if d.held || !slices.Contains(d.list, c) {
		d.mu.Unlock()
		return
	}
	if c.unsure && !l.Server.IsValid() {
		d.remove(c)
		d.mu.Unlock()
		return
	}
	// Of a lease that no server has granted to this client, somebody else may know better.
	if l.Server.IsValid() {
		if err := d.s.host.RemoveLease(d.s.adapter.Index(), l.Address, leaseRoutes(l)); err != nil {
			d.log.Warn("lease not removed", "address", l.Address, "err", err)
		}
	}
	c.applied = dhcp.Lease{}
	d.save()
	d.mu.Unlock()
	d.s.team.Record("lease-lost", "", l.Address.String()+": "+why)
}

func leaseRoutes(l dhcp.Lease) (list []host.LeaseRoute) {
	for _, r := range l.Routes {
		list = append(list, host.LeaseRoute{To: r.To, Via: r.Via})
	}
	return list
}

func describeLease(l dhcp.Lease) string {
	text := l.Address.String()
	if l.Server.IsValid() {
		text += " from " + l.Server.String()
	}
	if l.Expires.IsZero() {
		return text + ", forever"
	}
	return fmt.Sprintf("%s for %v", text, l.Expires.Sub(l.Obtained).Round(time.Second))
}
