// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
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

// byAddress returns the client for an address, nil for none. The caller holds mu.
func (d *dhcpClients) byAddress(ip netip.Addr) *leaseClient {
	for _, c := range d.list {
		if c.Status().Lease.Address.Addr() == ip {
			return c
		}
	}
	return nil
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
