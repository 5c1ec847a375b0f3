// SPDX-License-Identifier: MIT

package daemon

import (
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/dhcp"
	"nicteam/internal/frame"
	"nicteam/internal/host"
)

// observe compares the adapter's leases with the clients: it takes over a lease whose renewal is overdue, and forgets
// one that another client has renewed or that somebody has removed. atOnce: no other client runs.
func (d *dhcpClients) observe(a host.AdapterState, atOnce bool) {
	d.mu.Lock()
	now, wall, leases := dhcp.Now(), time.Now(), a.Leases
	has := func(ip netip.Addr) bool {
		return slices.ContainsFunc(a.Addresses, func(p netip.Prefix) bool { return p.Addr() == ip })
	}
	for _, c := range slices.Clone(d.list) {
		st := c.Status()
		switch ip := st.Lease.Address.Addr(); {
		case c.main:
		case !ip.IsValid() && len(leases) > 0: // it has expired, and another one is there
			d.remove(c)
		case ip.IsValid() && !has(ip) && !st.Lease.Expires.IsZero() && wall.Sub(c.appliedAt) > absentAfter,
			ip.IsValid() && d.isSuperseded(ip):
			d.remove(c)
			d.save()
		}
	}
	var overdue []host.Lease
	for _, l := range leases {
		if !l.Address.Addr().Is4() || d.isSuperseded(l.Address.Addr()) {
			continue
		}
		expires := now.Add(l.Left)
		c := d.byAddress(l.Address.Addr())
		switch {
		case c == nil:
			if atOnce || l.Left <= l.Total-time.Duration(takeoverAt*float64(l.Total)) {
				overdue = append(overdue, l)
			}
		case expires.Sub(c.Status().Lease.Expires) > expiryTolerance:
			c.Renewed(expires)
		}
	}
	d.mu.Unlock()
	for _, l := range overdue {
		d.takeOver(l, now)
	}
}

// absentAfter is how long a lease must be configured before its absence means that somebody removed it.
const absentAfter = 2 * time.Second

// leased notes that a member's client has set a lease. One that it had before is no longer its own.
func (d *dhcpClients) leased(nic string, ip netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latest[nic] = ip
}

// isSuperseded reports whether the client that acquired an address has another one by now. The caller holds mu.
func (d *dhcpClients) isSuperseded(ip netip.Addr) bool {
	nic, _, ok := d.s.host.AddressMember(ip)
	last := d.latest[nic]
	return ok && last.IsValid() && last != ip
}

// superseded is isSuperseded for callers without mu.
func (d *dhcpClients) superseded(ip netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isSuperseded(ip)
}

// takeOver starts a client that renews a lease which another client acquired.
func (d *dhcpClients) takeOver(l host.Lease, now time.Time) {
	c := d.configOf(l.Address.Addr())
	c.Lease = dhcp.TakenOver(now, l.Address, l.Left, l.Total)
	d.log.Info("renewing a lease", "address", l.Address, "left", l.Left, "mac", c.MAC)
	d.add(c, false)
}

// configOf returns what is known of the client that acquired an address.
func (d *dhcpClients) configOf(ip netip.Addr) dhcp.Config {
	nic, mac, ok := d.s.host.AddressMember(ip)
	if !ok {
		mac = d.s.adapter.MAC()
	}
	return dhcp.Config{MAC: mac, ClientIDs: d.clientIDs(nic, mac)}
}

// clientIDs are the identifiers that the client of a NIC may use.
func (d *dhcpClients) clientIDs(nic string, mac frame.MAC) [][]byte {
	c := dhcp.OtherClient{NIC: nic, MAC: mac}
	if n, err := d.s.host.NIC(nic); err == nil {
		c.Index = n.Index
	}
	for _, o := range d.others {
		if slices.Contains(o.Args, nic) || c.Program == "" {
			c.Program, c.Args = o.Program, o.Args
		}
	}
	return c.IDs()
}

// takeOverUnsure starts clients for addresses without a lifetime on NICs with a DHCP client: some clients set none.
func (d *dhcpClients) takeOverUnsure() {
	for _, o := range d.others {
		for _, nic := range d.s.presentMembers() {
			lent := d.s.host.LentForever(nic)
			if !slices.Contains(o.Args, nic) || len(lent) != 1 {
				continue
			}
			d.mu.Lock()
			known := d.byAddress(lent[0].Addr()) != nil
			d.mu.Unlock()
			if known {
				continue
			}
			c := d.configOf(lent[0].Addr())
			c.Lease = dhcp.TakenOver(dhcp.Now(), lent[0], unsureTime, unsureTime)
			d.add(c, false).unsure = true
		}
	}
}

// unsureTime is how long servers are asked about an address that may not be leased.
const unsureTime = 10 * time.Minute

// renews reports whether a server has granted the address to a client of the team.
func (d *dhcpClients) renews(ip netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.byAddress(ip)
	return c != nil && c.Status().Lease.Server.IsValid()
}

// noteOf says what the team's client does about a lease, for a warning.
func (d *dhcpClients) noteOf(ip netip.Addr) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.byAddress(ip)
	if c == nil {
		return ""
	}
	if why := c.Status().Why; why != "" {
		return why
	}
	return "no DHCP server answers"
}
