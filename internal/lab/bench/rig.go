// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
)

const (
	boxCIDR, boxCIDR6 = "10.9.0.1/24", "fd09::1/64"
	peerCIDR          = "10.9.0.2/24"
	teamName          = "team0"
)

var (
	boxAddr, boxAddr6 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")
	peerAddr          = netip.MustParseAddr("10.9.0.2")
)

// Rates are measured on unfiltered cables: the lab's receive filter runs a program for each frame, which a real NIC
// does in hardware. LACP is measured on cables that filter.
var unfiltered = lab.CableOptions{HardwareA: lab.Hardware{NoFilter: true}, HardwareB: &lab.Hardware{NoFilter: true}}

// rig is two hosts: box, whose NICs are measured, and peer.
type rig struct {
	box, peer *lab.Host
	crowd     []*lab.Host
	addresses []string   // of box
	lines     []lab.Line // of eth1, eth2, … of box
	client    *control.Client
	undo      []func() error
	binary    string
	path      string // the data path that the team must have

	serving  bool  // iperf3's server runs
	noServer error // why it does not
}

func (r *rig) deferClose(f func() error) { r.undo = append(r.undo, f) }

// Close ends what runs in the hosts and removes them.
func (r *rig) Close() error {
	var errs []error
	for i := len(r.undo) - 1; i >= 0; i-- {
		errs = append(errs, r.undo[i]())
	}
	r.undo = nil
	return errors.Join(errs...)
}

func (b *bench) newRig(name string) (r *rig, err error) {
	r = &rig{binary: b.binary, addresses: []string{boxCIDR}}
	if r.box, err = lab.NewHost(name); err != nil {
		return nil, err
	}
	r.deferClose(r.box.Close)
	if r.peer, err = lab.NewHost(name + "-peer"); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.deferClose(r.peer.Close)
	return r, nil
}

// direct connects box to peer: eth1 of box has an address, further NICs have only a cable to peer.
//
//	box  eth1 ──── eth1  peer
//	     eth2 ──── eth2
func (b *bench) direct(name string, nics int) (*rig, error) {
	r, err := b.newRig(name)
	if err != nil {
		return nil, err
	}
	for i := range nics {
		nic := fmt.Sprintf("eth%d", i+1)
		c, err := lab.NewCable(r.box, nic, r.peer, nic, unfiltered)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.lines = append(r.lines, c)
	}
	if err := r.peer.SetAddr("eth1", peerCIDR); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// network describes the network of switched.
type network struct {
	nics  int
	rates []uint64 // bit/s of box's NICs, both directions; the last counts for the others too; empty: no limit
	lag   bool     // the switch has a static LAG of box's NICs
	crowd int      // further hosts on the switch; with any there is IPv6 too
}

// switched connects box to a switch, and the switch to peer.
//
//	box  eth1 ─┐
//	     eth2 ─┼─ switch ── eth1  peer
//	     …    ─┘
func (b *bench) switched(name string, n network) (*rig, error) {
	r, err := b.newRig(name)
	if err != nil {
		return nil, err
	}
	if err := r.wire(name, n); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *rig) wire(name string, n network) error {
	sw, err := lab.NewSwitch(name+"-switch", lab.SwitchOptions{})
	if err != nil {
		return err
	}
	r.deferClose(sw.Close)
	var ports []string
	for i := range n.nics {
		nic, port := fmt.Sprintf("eth%d", i+1), fmt.Sprintf("p%d", i+1)
		line, err := lab.NewCable(r.box, nic, sw, port, unfiltered)
		if err != nil {
			return err
		}
		r.lines = append(r.lines, line)
		ports = append(ports, port)
		if len(n.rates) > 0 {
			if err := line.Shape(n.rates[min(i, len(n.rates)-1)]); err != nil {
				return err
			}
		}
	}
	if _, err := lab.NewCable(sw, "uplink", r.peer, "eth1", unfiltered); err != nil {
		return err
	}
	if n.crowd > 0 {
		r.addresses = append(r.addresses, boxCIDR6)
	}
	for i := range n.crowd {
		h, err := lab.NewHost(fmt.Sprintf("%s-%d", name, i+1))
		if err != nil {
			return err
		}
		r.deferClose(h.Close)
		if _, err := lab.NewCable(sw, fmt.Sprintf("c%d", i+1), h, "eth1", unfiltered); err != nil {
			return err
		}
		if err := h.SetAddr("eth1", fmt.Sprintf("10.9.0.%d/24", 11+i), fmt.Sprintf("fd09::%x/64", 0x11+i)); err != nil {
			return err
		}
		r.crowd = append(r.crowd, h)
	}
	if n.lag {
		if _, err := sw.LAG("lag", lab.SpreadFlow, ports...); err != nil {
			return err
		}
	}
	return r.peer.SetAddr("eth1", peerCIDR)
}

// plain uses eth1 without a team.
func (r *rig) plain(ctx context.Context) error {
	if err := r.box.SetAddr("eth1", r.addresses...); err != nil {
		return err
	}
	return r.awaitPing(ctx)
}

// team gives eth1 the address and runs nicteam create with a data path, as a user would.
func (r *rig) team(ctx context.Context, path string, args ...string) error {
	// No peer answers yet: a switch with a LAG may answer by another NIC of it.
	if err := r.box.SetAddr("eth1", r.addresses...); err != nil {
		return err
	}
	if err := r.nicteam(ctx, append([]string{"create", teamName, "--datapath", path}, args...)...); err != nil {
		return err
	}
	r.path = path
	r.client = control.NewClient(r.box.Path("/run/nicteam"), teamName)
	r.deferClose(func() error { r.client.Close(); return nil })
	return r.awaitPing(ctx)
}

// checkDatapath returns an error if the team has another data path than the measured one: it may fall back to the
// relay.
func (r *rig) checkDatapath(ctx context.Context) error {
	if r.client == nil {
		return nil
	}
	st, err := r.client.Status(ctx)
	if err != nil {
		return err
	}
	if st.Datapath != r.path {
		return fmt.Errorf("datapath %s, want %s: %s", st.Datapath, r.path, st.DatapathReason)
	}
	return nil
}

// nicteam runs the measured program in box.
func (r *rig) nicteam(ctx context.Context, args ...string) error {
	out, err := r.box.CommandContext(ctx, r.binary, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("nicteam %s: %w: %s", strings.Join(args, " "), err, oneLine(out))
	}
	return nil
}

func oneLine(b []byte) string {
	return strings.Join(strings.Fields(string(bytes.TrimSpace(b))), " ")
}

// awaitPing waits until peer answers box.
func (r *rig) awaitPing(ctx context.Context) error {
	p, err := newPinger(r.box, peerAddr)
	if err != nil {
		return err
	}
	defer p.close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, ok := p.once(20 * time.Millisecond); ok {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("peer %s does not answer for 10s", peerAddr)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// awaitStatus waits until holds is true for the team's status.
func (r *rig) awaitStatus(ctx context.Context, what string, holds func(*api.Status) bool) (*api.Status, error) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		s, err := r.client.Status(ctx)
		if err != nil {
			return nil, err
		}
		if holds(s) {
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("wait until %s: not within 10s", what)
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
