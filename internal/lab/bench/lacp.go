// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
)

const byOVS, byTwin = "open vswitch", "nicteam"

// lacpTeam is the arguments for a team of 802.3ad of eth1 … ethN that wants a LACPDU a second.
func lacpTeam(n int) []string {
	args := []string{"--mode", "802.3ad", "--lacp-rate", "fast"}
	for i := range n {
		args = append(args, fmt.Sprintf("eth%d", i+1))
	}
	return args
}

// lacpLink is an 802.3ad team and its partner.
type lacpLink struct {
	*rig
	far   *lab.Host         // at the other ends of the cables
	ovs   *lab.OVS          // the partner, or
	twin  *control.Client   // a team of peer
	bonds map[string]string // of the switch, by NIC of box
	all   []*lab.Cable      // of eth1, eth2, …
	nics  []string
}

// withOVS connects box to an Open vSwitch by groups of cables, and peer to the switch. Each group is a bond of the
// switch.
//
//	box  eth1 ── p1 ┐
//	     eth2 ── p2 ├ Open vSwitch ── uplink ── eth1  peer
//	     …          ┘
func (b *bench) withOVS(ctx context.Context, path string, groups ...int) (a *lacpLink, err error) {
	r, err := b.newRig("lacp")
	if err != nil {
		return nil, err
	}
	a = &lacpLink{rig: r, bonds: map[string]string{}}
	defer func() {
		if err != nil {
			b.close(r)
		}
	}()
	if a.far, err = lab.NewHost("lacp-switch"); err != nil {
		return nil, err
	}
	r.deferClose(a.far.Close)
	var bonds []lab.OVSBond
	for i, n := range groups {
		bond := lab.OVSBond{Name: fmt.Sprintf("bond%d", i+1), Fast: true,
			System: fmt.Sprintf("02:00:00:00:0b:%02x", i+1)}
		for range n {
			nic, port := fmt.Sprintf("eth%d", len(a.nics)+1), fmt.Sprintf("p%d", len(a.nics)+1)
			if err := a.cable(nic, port); err != nil {
				return nil, err
			}
			a.bonds[nic] = bond.Name
			bond.Ports = append(bond.Ports, port)
		}
		bonds = append(bonds, bond)
	}
	if _, err := lab.NewCable(a.far, "uplink", r.peer, "eth1", lab.CableOptions{EagerCarrier: true}); err != nil {
		return nil, err
	}
	if err := r.peer.SetAddr("eth1", peerCIDR); err != nil {
		return nil, err
	}
	if a.ovs, err = lab.NewOVS(ctx, a.far, lab.OVSOptions{TSO: true}); err != nil {
		return nil, err
	}
	r.deferClose(a.ovs.Close)
	if err := a.ovs.Bridge(ctx, "br0", bonds, "uplink"); err != nil {
		return nil, err
	}
	return a, r.team(ctx, path, lacpTeam(len(a.nics))...)
}

// withTwin connects box directly to a team of peer, by cables that may be shaped.
func (b *bench) withTwin(ctx context.Context, path string, n int, rate uint64) (a *lacpLink, err error) {
	r, err := b.newRig("lacp")
	if err != nil {
		return nil, err
	}
	a = &lacpLink{rig: r, far: r.peer}
	defer func() {
		if err != nil {
			b.close(r)
		}
	}()
	for i := range n {
		nic := fmt.Sprintf("eth%d", i+1)
		if err := a.cable(nic, nic); err != nil {
			return nil, err
		}
		if rate > 0 {
			if err := a.all[i].Shape(rate); err != nil {
				return nil, err
			}
		}
	}
	if err := r.peer.SetAddr("eth1", peerCIDR); err != nil {
		return nil, err
	}
	args := append([]string{"create", teamName, "--datapath", fast}, lacpTeam(n)...)
	if out, err := r.peer.CommandContext(ctx, r.binary, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("nicteam %s in peer: %w: %s", strings.Join(args, " "), err, oneLine(out))
	}
	a.twin = control.NewClient(r.peer.Path("/run/nicteam"), teamName)
	r.deferClose(func() error { a.twin.Close(); return nil })
	return a, r.team(ctx, path, lacpTeam(n)...)
}

// cable connects a NIC of box to a port. Both see carrier changes at once, so that the protocol is measured.
func (a *lacpLink) cable(nic, port string) error {
	c, err := lab.NewCable(a.box, nic, a.far, port, lab.CableOptions{EagerCarrier: true})
	if err != nil {
		return err
	}
	a.nics, a.all = append(a.nics, nic), append(a.all, c)
	a.lines = append(a.lines, c)
	return nil
}

// distributing returns the members of a team that distribute.
func distributing(s *api.Status) (nics []string) {
	for _, m := range s.Members {
		if m.Distributing {
			nics = append(nics, m.Name)
		}
	}
	slices.Sort(nics)
	return nics
}

// awaitMembers waits until both ends send by exactly these NICs, and returns when that was seen.
func (a *lacpLink) awaitMembers(ctx context.Context, nics ...string) (at time.Time, err error) {
	for deadline := time.Now().Add(20 * time.Second); ; {
		s, err := a.client.Status(ctx)
		if err != nil {
			return at, err
		}
		ours := slices.Equal(distributing(s), nics)
		theirs, err := a.farMembersAre(ctx, nics)
		if err != nil {
			return at, err
		}
		if at = time.Now(); ours && theirs {
			return at, nil
		}
		if at.After(deadline) {
			return at, fmt.Errorf("not both send by %v after 20s: box by %v", nics, distributing(s))
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return at, err
		}
	}
}

func (a *lacpLink) farMembersAre(ctx context.Context, nics []string) (bool, error) {
	if a.twin != nil {
		s, err := a.twin.Status(ctx)
		return err == nil && slices.Equal(distributing(s), nics), err
	}
	var used []string
	for i, nic := range a.nics {
		// One request a bond.
		if i > 0 && a.bonds[nic] == a.bonds[a.nics[i-1]] {
			continue
		}
		members, err := a.ovs.LACP(ctx, a.bonds[nic])
		if err != nil {
			return false, err
		}
		for _, m := range members {
			if m.Works() {
				used = append(used, "eth"+strings.TrimPrefix(m.Name, "p"))
			}
		}
	}
	slices.Sort(used)
	return slices.Equal(used, nics), nil
}

// forCables does something to the cables of NICs.
func (a *lacpLink) forCables(nics []string, do func(*lab.Cable) error) error {
	var errs []error
	for i, nic := range a.nics {
		if slices.Contains(nics, nic) {
			errs = append(errs, do(a.all[i]))
		}
	}
	return errors.Join(errs...)
}
