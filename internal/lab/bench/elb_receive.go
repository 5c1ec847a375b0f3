// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/lab"
)

const crowdSize = 8

// elbReceive measures many hosts that send to box at once, each to the member whose MAC it was given.
func (b *bench) elbReceive(ctx context.Context) {
	four := b.measure("elb-in", "elb, 8 hosts send TCP to a team of 4 NICs of 200 Mbit/s, from the third "+
		"second on, against four times 2 hosts to one plain NIC", "Mbit/s").
		compare(team4, fourPlain).compare(fast4, fourPlain)
	six := b.measure("elb-in-ipv6", "the same by IPv6", "Mbit/s").
		compare(team4, fourPlain).compare(fast4, fourPlain)
	for _, f := range []struct {
		m    *measure
		addr netip.Addr
	}{{four, boxAddr}, {six, boxAddr6}} {
		if !b.wants(f.m.Name) {
			continue
		}
		contestants, done := b.setUp(ctx, []setup{
			{name: fourPlain, network: network{nics: 1, rates: []uint64{elbRate}, crowd: 2}},
			{name: team4, network: network{nics: 4, rates: []uint64{elbRate}, crowd: crowdSize}, path: relay,
				args: elbTeam(4)},
			{name: fast4, network: network{nics: 4, rates: []uint64{elbRate}, crowd: crowdSize}, path: fast,
				args: elbTeam(4)},
		}, func(ctx context.Context, r *rig, name string) ([]float64, error) {
			if name == fourPlain {
				mbit, err := r.receive(ctx, f.addr, b.turn/4, b.turn)
				return []float64{4 * mbit}, err
			}
			mbit, err := r.receive(ctx, f.addr, evenUntil, b.turn)
			if err == nil {
				var spread string
				if spread, err = r.groupSizes(f.addr); err == nil {
					f.m.Notes = lastOf(name, f.m.Notes, "hosts by member after the last turn: "+spread)
				}
			}
			return []float64{mbit}, err
		})
		b.interleave(ctx, b.rounds, contestants, f.m)
		done()
	}
}

// receive makes each host of the crowd send to an address of box and returns their Mbit/s together, from after on.
func (r *rig) receive(ctx context.Context, to netip.Addr, after, d time.Duration) (float64, error) {
	var all []*lab.RunningLoad
	defer func() {
		for _, l := range all {
			l.Stop()
		}
	}()
	for _, h := range r.crowd {
		l, err := lab.Load{From: h, To: r.box, Address: to}.Start(ctx)
		if err != nil {
			return 0, err
		}
		all = append(all, l)
	}
	if err := pause(ctx, after); err != nil {
		return 0, err
	}
	start := make([]lab.Rate, len(all))
	for i, l := range all {
		start[i] = l.Rate()
	}
	if err := pause(ctx, d); err != nil {
		return 0, err
	}
	sum := 0.0
	for i, l := range all {
		sum += l.Rate().Less(start[i]).BitsPerSecond()
	}
	if sum == 0 {
		return 0, errors.New("nothing arrived")
	}
	return sum / 1e6, nil
}

// neighbourMAC returns the MAC in a host's neighbour entry of an address, "" if there is none.
func neighbourMAC(h *lab.Host, addr netip.Addr) (string, error) {
	l, err := h.Handle().LinkByName("eth1")
	if err != nil {
		return "", err
	}
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	all, err := h.Handle().NeighList(l.Attrs().Index, family)
	if err != nil {
		return "", fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range all {
		if ip, _ := netip.AddrFromSlice(n.IP); ip.Unmap() == addr && n.HardwareAddr != nil {
			return n.HardwareAddr.String(), nil
		}
	}
	return "", nil
}

// neighbourMACs returns the neighbourMAC of each host of the crowd.
func (r *rig) neighbourMACs(addr netip.Addr) (macs []string, err error) {
	for _, h := range r.crowd {
		mac, err := neighbourMAC(h, addr)
		if err != nil {
			return nil, err
		}
		macs = append(macs, mac)
	}
	return macs, nil
}

// largestGroup returns how many hosts have the most frequent MAC.
func largestGroup(macs []string) (most int) {
	count := map[string]int{}
	for _, m := range macs {
		count[m]++
		most = max(most, count[m])
	}
	return most
}

// groupSizes formats how many hosts have each MAC.
func (r *rig) groupSizes(addr netip.Addr) (string, error) {
	macs, err := r.neighbourMACs(addr)
	if err != nil {
		return "", err
	}
	count := map[string]int{}
	for _, m := range macs {
		count[m]++
	}
	var out []int
	for _, n := range count {
		out = append(out, n)
	}
	slices.Sort(out)
	return fmt.Sprint(out), nil
}

// elbRepair makes box broadcast an ARP request, as it does all the time: hosts that have an entry for box replace its
// MAC by that of the request. elb must repair this.
func (b *bench) elbRepair(ctx context.Context) {
	once := b.measure("elb-repair", "elb, 8 hosts spread over a team of 4: after an ARP request of ours that "+
		"all hear, how long more of them believe in one MAC than before", "ms")
	thrice := b.measure("elb-repair-absent",
		"the same for a host that does not exist, which Linux asks for three times, a second apart: the longest "+
			"such time", "ms")
	r, err := b.switched("repair", network{nics: 4, crowd: crowdSize})
	if err != nil {
		b.absent(err, once, thrice)
		return
	}
	defer b.close(r)
	if err := r.team(ctx, relay, elbTeam(4)...); err != nil {
		b.absent(err, once, thrice)
		return
	}
	witness, err := lab.StartWitness()
	if err != nil {
		b.absent(err, once, thrice)
		return
	}
	defer witness.Close()
	// Their traffic keeps their entries, and shows the team its peers.
	for _, h := range r.crowd {
		s, err := lab.Stream{From: h, To: r.box, Address: boxAddr, Flows: 1, Rate: 200, Witness: witness}.Start()
		if err != nil {
			b.absent(err, once, thrice)
			return
		}
		defer s.Stop()
	}
	if err := pause(ctx, evenUntil); err != nil {
		return
	}
	host := 100 // nobody's
	for _, c := range []struct {
		m        *measure
		requests int
		n        int
	}{{once, 1, 10}, {thrice, 3, 5}} {
		if err := r.box.Sysctl("ipv4/neigh/"+teamName+"/mcast_solicit", fmt.Sprint(c.requests)); err != nil {
			b.absent(err, c.m)
			return
		}
		all := 0
		b.repeat(ctx, b.few(c.n), team4, c.m, func(ctx context.Context, _ int) (float64, error) {
			// A host accepts no other MAC within a second (locktime).
			if err := pause(ctx, 2*quiet); err != nil {
				return 0, err
			}
			host++
			took, most, err := r.concentration(ctx, fmt.Sprintf("10.9.0.%d", host),
				time.Duration(c.requests)*1100*time.Millisecond-200*time.Millisecond)
			if most == crowdSize {
				all++
			}
			return milliseconds(took), err
		})
		c.m.Notes = append(c.m.Notes, fmt.Sprintf("all %d hosts believed in the same MAC after %d of the questions",
			crowdSize, all))
		if spread, err := r.groupSizes(boxAddr); err == nil {
			c.m.Notes = append(c.m.Notes, "hosts by member at the end: "+spread)
		}
	}
}

// concentration makes box request an address that no host has, and observes the crowd. It returns the longest
// continuous time in which one MAC had more hosts than before, and the most hosts that it had.
func (r *rig) concentration(ctx context.Context, absent string,
	d time.Duration) (longest time.Duration, most int, err error) {
	macs, err := r.neighbourMACs(boxAddr)
	if err != nil {
		return 0, 0, err
	}
	if slices.Contains(macs, "") {
		return 0, 0, fmt.Errorf("a host has no entry for %s", boxAddr)
	}
	before := largestGroup(macs)
	if before == crowdSize {
		return 0, 0, errors.New("the hosts were not spread before")
	}
	c, err := r.box.Dial(ctx, "udp", net.JoinHostPort(absent, "9"))
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	start := time.Now()
	if _, err := c.Write([]byte{0}); err != nil {
		return 0, 0, err
	}
	since := time.Time{} // concentrated since; zero: not
	for time.Since(start) < d {
		if macs, err = r.neighbourMACs(boxAddr); err != nil {
			return 0, 0, err
		}
		n, now := largestGroup(macs), time.Now()
		switch {
		case n <= before:
			since = time.Time{}
		case since.IsZero() && longest == 0:
			since = start // the first reading may come late
		case since.IsZero():
			since = now
		}
		if !since.IsZero() {
			longest, most = max(longest, now.Sub(since)), max(most, n)
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	return longest, most, nil
}
