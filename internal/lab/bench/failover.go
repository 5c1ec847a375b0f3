// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nicteam/internal/api"
)

// failover cuts the active one of two NICs again and again.
func (b *bench) failover(ctx context.Context) {
	for _, d := range []struct {
		name, what string
		inwards    bool
		path       string
	}{
		{"failover-out", "box to peer", false, relay},
		{"failover-in", "peer to box", true, relay},
		{"fastpath-failover-out", "box to peer", false, fast},
		{"fastpath-failover-in", "peer to box", true, fast},
	} {
		m := b.measure(d.name, fmt.Sprintf("carrier lost on the active one of 2 NICs (veth), 10000 frames/s from %s: "+
			"longest gap from the moment the flag goes, without the machine's standstills", d.what), "ms")
		var late *measure
		if d.path == fast {
			late = b.measure(d.name+"-late", "the same: what of the gap came after the team had noted the loss", "ms")
		}
		if !b.wants(d.name, d.name+"-late") {
			continue
		}
		c, err := b.cutter(ctx, 2, d.inwards, d.path, "--mode", "active-backup")
		if err != nil {
			b.absent(err, m)
			if late != nil {
				b.absent(err, late)
			}
			continue
		}
		b.gaps(ctx, b.few(20), m, late, func(ctx context.Context) (loss, error) {
			active, err := c.ready(ctx)
			if err != nil {
				return loss{}, err
			}
			return c.loss(ctx, active)
		})
		b.close(c.rig)
	}
}

// secondLoss cuts the active one of three NICs and, 100 ms later, the one that took over.
func (b *bench) secondLoss(ctx context.Context) {
	m := b.measure("second-loss", "the member that took over loses its carrier 100 ms after the first did, which the "+
		"kernel tells up to 1 s late: longest gap as above", "ms")
	c, err := b.cutter(ctx, 3, false, relay, "--mode", "active-backup")
	if err != nil {
		b.absent(err, m)
		return
	}
	defer b.close(c.rig)
	b.gaps(ctx, b.few(10), m, nil, func(ctx context.Context) (loss, error) {
		first, err := c.ready(ctx)
		if err != nil {
			return loss{}, err
		}
		at, err := c.cut(first)
		if err != nil {
			return loss{}, err
		}
		st, err := c.awaitStatus(ctx, "another member is active", func(s *api.Status) bool {
			return s.Active != "" && s.Active != first
		})
		if err == nil {
			err = pause(ctx, time.Until(at.Add(100*time.Millisecond)))
		}
		if err != nil {
			return loss{}, errors.Join(err, c.mend())
		}
		return c.loss(ctx, st.Active)
	})
}
