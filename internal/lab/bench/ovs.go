// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"

	"github.com/safchain/ethtool"

	"nicteam/internal/lab"
)

// openVSwitch puts box's eth1 and eth2 into an active-backup bond of Open vSwitch's user-space (netdev) datapath, and
// the address on the bridge.
func (r *rig) openVSwitch(ctx context.Context, tso bool) error {
	o, err := lab.NewOVS(ctx, r.box, lab.OVSOptions{TSO: tso})
	if err != nil {
		return err
	}
	r.deferClose(o.Close)
	if err := o.Set(ctx,
		"add-br", "br0",
		"--", "set", "bridge", "br0", "datapath_type=netdev", "other_config:hwaddr=02:00:00:00:05:01",
		"--", "add-bond", "br0", "bond0", "eth1", "eth2", "bond_mode=active-backup",
		"--", "set", "port", "bond0", "other_config:bond-primary=eth1"); err != nil {
		return fmt.Errorf("open vswitch: %w", err)
	}
	// The bridge has a MAC of its own and the NICs have no address: otherwise the kernel would receive each frame
	// twice.
	if err := r.box.Sysctl("ipv4/conf/all/arp_ignore", "1"); err != nil {
		return err
	}
	if !tso {
		// Without virtio headers it supports neither unfinished checksums nor super-frames, so peer must send finished
		// frames.
		if err := noTransmitOffload(r.peer, "eth1"); err != nil {
			return err
		}
	}
	if err := r.box.Up("br0"); err != nil {
		return err
	}
	if err := r.box.SetAddr("br0", boxCIDR); err != nil {
		return err
	}
	if err := r.awaitPing(ctx); err != nil {
		return fmt.Errorf("open vswitch: %w; its log ends: %s", err, oneLine([]byte(o.Log())))
	}
	return nil
}

// noTransmitOffload makes a NIC's host compute checksums and segment.
func noTransmitOffload(h *lab.Host, nic string) error {
	err := h.Do(func() error {
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Change(nic, map[string]bool{
			"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-tcp6-segmentation": false,
			"tx-generic-segmentation": false,
		})
	})
	if err != nil {
		return fmt.Errorf("switch transmit offloads of %s off: %w", nic, err)
	}
	return nil
}
