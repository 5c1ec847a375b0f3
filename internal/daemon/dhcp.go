// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/dhcp"
	"nicteam/internal/frame"
	"nicteam/internal/host"
	"nicteam/internal/managers"
	"nicteam/internal/settings"
)

// dhcpClients are the team's own DHCP clients.
//
// With address=dhcp one acquires a lease for the adapter. With address=auto the lease belongs to a client on a member,
// which renews it as long as it can, and the lease moves to the adapter again each time. A client of the team takes
// over when a renewal is overdue: the other one is gone, or the answers no longer reach it, since they come by the
// adapter. The server cannot tell them apart; so if the other one renews again, nothing is lost.
type dhcpClients struct {
	s   *session
	log *slog.Logger

	// others are the DHCP clients that ran when the team started.
	others []host.LeaseClient

	mu      sync.Mutex
	latest  map[string]netip.Addr // by member: the lease that its client set last
	list    []*leaseClient
	held    bool              // the team ends: configure nothing
	started chan *leaseClient // to be run
}

// leaseClient is a client for one lease.
type leaseClient struct {
	*dhcp.Client
	d    *dhcpClients
	mac  frame.MAC
	main bool // of address=dhcp: goes on without a lease, sets routes

	// unsure: an address without a lifetime, on a NIC with a DHCP client. If no server knows it, it is no lease.
	unsure bool

	// Guarded by d.mu.
	applied   dhcp.Lease
	appliedAt time.Time
	cancel    context.CancelFunc // while it runs
}

// absentAfter is how long a lease must be configured before its absence means that somebody removed it.
const absentAfter = 2 * time.Second

// maxLeaseClients bounds the clients. A member has one lease, seldom more.
const maxLeaseClients = 64

func newDHCPClients(s *session) *dhcpClients {
	return &dhcpClients{s: s, log: s.log, latest: map[string]netip.Addr{},
		started: make(chan *leaseClient, 2*maxLeaseClients)}
}

// run runs the clients until ctx ends. The leases stay.
func (d *dhcpClients) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	d.mu.Lock()
	for _, c := range d.list {
		d.enqueue(c)
	}
	d.mu.Unlock()
	events := d.s.team.Follow(ctx)
	down := false
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-d.started:
			running.Go(func() { d.runOne(ctx, c) })
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if wasDown := down; wasDown != (e.Event == "team-down") {
				switch e.Event {
				case "team-down":
					down = true
				case "team-up", "team-degraded":
					down = false
					d.linkUp()
				}
			}
		}
	}
}

// runOne runs a client until ctx ends or it is removed.
func (d *dhcpClients) runOne(ctx context.Context, c *leaseClient) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.mu.Lock()
	if c.cancel != nil || !slices.Contains(d.list, c) {
		d.mu.Unlock()
		return
	}
	c.cancel = cancel
	d.mu.Unlock()
	d.s.panics.Restart(ctx, "dhcp", func() { c.Run(ctx) })
	d.mu.Lock()
	c.cancel = nil
	d.mu.Unlock()
}

// enqueue has run start a client. The caller holds mu.
func (d *dhcpClients) enqueue(c *leaseClient) {
	select {
	case d.started <- c:
	default: // more than there can be
	}
}

// linkUp tells the clients that a member has a link again.
func (d *dhcpClients) linkUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.list {
		c.LinkUp()
	}
}

// hold makes the clients configure nothing, or again.
func (d *dhcpClients) hold(held bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = held
}

// add makes a client. Without a lease in c it acquires one.
func (d *dhcpClients) add(c dhcp.Config, main bool) *leaseClient {
	s := d.s
	if c.MAC == 0 {
		c.MAC = s.adapter.MAC()
	}
	c.Broadcast = c.MAC != s.adapter.MAC()
	c.Seed = rand.Uint64()
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		c.HostName = name
	}
	l := &leaseClient{d: d, mac: c.MAC, main: main, applied: c.Lease}
	own := func(mac frame.MAC) bool {
		st := s.team.Status()
		return mac == s.adapter.MAC() ||
			slices.ContainsFunc(st.Members, func(m api.Member) bool { return m.MAC == mac.String() })
	}
	link := dhcp.NewPacketLink(s.adapter.Name, s.adapter.Index, s.adapter.MAC, own)
	l.Client = dhcp.New(dhcp.NewMachine(dhcp.Now(), c), dhcp.Options{Link: link, Apply: l.apply, Lost: l.lost,
		Now: dhcp.Now, Log: d.log})
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == maxLeaseClients {
		return l
	}
	d.list = append(d.list, l)
	d.enqueue(l)
	return l
}

// remove ends a client. The caller holds mu.
func (d *dhcpClients) remove(c *leaseClient) {
	d.list = slices.DeleteFunc(d.list, func(o *leaseClient) bool { return o == c })
	if c.cancel != nil {
		c.cancel()
	}
}

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

// status describes the lease of the adapter, the first of several.
func (d *dhcpClients) status() *api.Lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		return nil
	}
	st := d.list[0].Status()
	a := &api.Lease{State: st.State.String(), Reason: st.Why}
	if st.Lease.Address.IsValid() {
		a.Address = st.Lease.Address.String()
		if st.Lease.Server.IsValid() {
			a.Server = st.Lease.Server.String()
		}
		a.Obtained, a.RenewAt, a.Expires = st.Lease.Obtained, st.Lease.Renew, st.Lease.Expires
		for _, ip := range st.Lease.DNS {
			a.DNS = append(a.DNS, ip.String())
		}
		a.Search = st.Lease.Search
	}
	return a
}

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

// byAddress returns the client for an address, nil for none. The caller holds mu.
func (d *dhcpClients) byAddress(ip netip.Addr) *leaseClient {
	for _, c := range d.list {
		if c.Status().Lease.Address.Addr() == ip {
			return c
		}
	}
	return nil
}

// takeOver starts a client that renews a lease which another client acquired.
func (d *dhcpClients) takeOver(l host.Lease, now time.Time) {
	c := d.configOf(l.Address.Addr())
	c.Lease = takenOver(l, now)
	d.log.Info("renewing a lease", "address", l.Address, "left", l.Left, "mac", c.MAC)
	d.add(c, false)
}

// takenOver is a lease of which only the address is known: it is time to ask all servers.
func takenOver(l host.Lease, now time.Time) dhcp.Lease {
	return dhcp.Lease{Address: l.Address, Obtained: now.Add(l.Left - l.Total), Renew: now, Rebind: now,
		Expires: now.Add(l.Left)}
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
			now, c := dhcp.Now(), d.configOf(lent[0].Addr())
			c.Lease = dhcp.Lease{Address: lent[0], Obtained: now, Renew: now, Rebind: now, Expires: now.Add(unsureTime)}
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

// leaseTimeout is how long a create waits for a lease. Most servers answer at once; some look for a conflict first.
const leaseTimeout = 10 * time.Second

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
