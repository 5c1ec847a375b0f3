// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

// A peerKind is how peer uses its two NICs. A mode works with some kinds only, and each costs something, so that a
// subject is compared with the plain NIC at the same kind of peer.
type peerKind string

const (
	peerNIC    peerKind = "nic"    // the address is on eth1, eth2 has none
	peerBridge peerKind = "bridge" // both are ports of a bridge, which has the address
	peerLAG    peerKind = "lag"    // both are in a bond of the kernel, balance-xor
	peerLACP   peerKind = "lacp"   // both are in a bond of the kernel, 802.3ad
)

// baseline is the name of the plain NIC at this kind of peer.
func (k peerKind) baseline() string {
	if k == peerNIC {
		return plain
	}
	return fmt.Sprintf("%s, peer %s", plain, k)
}

// withPeer connects box to peer by two cables.
func (b *bench) withPeer(k peerKind) (r *rig, err error) {
	if r, err = b.newRig("count"); err != nil {
		return nil, err
	}
	for _, nic := range []string{"eth1", "eth2"} {
		c, err := lab.NewCable(r.box, nic, r.peer, nic, unfiltered)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.lines = append(r.lines, c)
	}
	switch k {
	case peerNIC:
		err = r.peer.SetAddr("eth1", peerCIDR)
	case peerBridge:
		err = join(r.peer, &netlink.Bridge{}, "br0", peerCIDR)
	case peerLAG:
		err = join(r.peer, newBond("balance-xor"), "bond0", peerCIDR)
	case peerLACP:
		err = join(r.peer, newBond("802.3ad"), "bond0", peerCIDR)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("peer %s: %w", k, err), r.Close())
	}
	return r, nil
}

// newBond is a bond of the kernel that spreads by layer3+4, as a team does by default.
func newBond(mode string) *netlink.Bond {
	bond := netlink.NewLinkBond(netlink.NewLinkAttrs())
	bond.Mode = netlink.StringToBondMode(mode)
	bond.Miimon = 100
	switch bond.Mode {
	case netlink.BOND_MODE_802_3AD:
		bond.LacpRate = netlink.BOND_LACP_RATE_FAST
		fallthrough
	case netlink.BOND_MODE_BALANCE_XOR:
		bond.XmitHashPolicy = netlink.BOND_XMIT_HASH_POLICY_LAYER3_4
	}
	return bond
}

// join creates a device in a host, gives it eth1 and eth2, and an address.
func join(h *lab.Host, device netlink.Link, name, cidr string) error {
	device.Attrs().Name = name
	handle := h.Handle()
	if err := handle.LinkAdd(device); err != nil {
		return fmt.Errorf("add %s %s: %w", device.Type(), name, err)
	}
	master, err := handle.LinkByName(name)
	if err != nil {
		return err
	}
	for _, nic := range []string{"eth1", "eth2"} {
		// A bond takes no NIC that is up.
		if err := h.Down(nic); err != nil {
			return err
		}
		l, err := handle.LinkByName(nic)
		if err == nil {
			err = handle.LinkSetMasterByIndex(l, master.Attrs().Index)
		}
		if err == nil {
			err = h.Up(nic)
		}
		if err != nil {
			return fmt.Errorf("add %s to %s: %w", nic, name, err)
		}
	}
	if err := h.Up(name); err != nil {
		return err
	}
	return h.SetAddr(name, cidr)
}

// kernelBond puts box's NICs into a bond of the kernel, with the address on the bond.
func (r *rig) kernelBond(ctx context.Context, mode string) error {
	if err := join(r.box, newBond(mode), "bond0", boxCIDR); err != nil {
		return err
	}
	return r.awaitPing(ctx)
}

// countedTeam creates a team and waits until it has the data path: an emulated CPU verifies programs for seconds.
func (r *rig) countedTeam(ctx context.Context, path string, args ...string) error {
	if err := r.team(ctx, path, args...); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := r.awaitStatus(ctx, "the team has "+path,
			func(s *api.Status) bool { return s.Datapath == path })
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
	}
}
