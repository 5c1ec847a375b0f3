package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	nicteam "nicteam/team"
)

// failover cuts the active one of two NICs again and again.
func (b *bench) failover(ctx context.Context) {
	for _, d := range []struct {
		name, what string
		inwards    bool
	}{
		{"failover-out", "box to peer", false},
		{"failover-in", "peer to box", true},
	} {
		m := b.measure(d.name, fmt.Sprintf("carrier lost on the active one of 2 NICs (veth), 10000 frames/s from %s: longest gap from the moment the flag goes, without the machine's standstills", d.what), "ms")
		if !b.wants(d.name) {
			continue
		}
		c, err := b.cutter(ctx, 2, d.inwards, "--mode", "active-backup")
		if err != nil {
			b.absent(err, m)
			continue
		}
		b.gaps(ctx, b.few(20), m, func(ctx context.Context) (loss, error) {
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
	m := b.measure("second-loss", "the member that took over loses its carrier 100 ms after the first did, which the kernel tells up to 1 s late: longest gap as above", "ms")
	c, err := b.cutter(ctx, 3, false, "--mode", "active-backup")
	if err != nil {
		b.absent(err, m)
		return
	}
	defer b.close(c.rig)
	b.gaps(ctx, b.few(10), m, func(ctx context.Context) (loss, error) {
		first, err := c.ready(ctx)
		if err != nil {
			return loss{}, err
		}
		at, err := c.cut(first)
		if err != nil {
			return loss{}, err
		}
		st, err := c.awaitStatus(ctx, "another member is active", func(s *nicteam.Status) bool { return s.Active != "" && s.Active != first })
		if err == nil {
			err = pause(ctx, time.Until(at.Add(100*time.Millisecond)))
		}
		if err != nil {
			return loss{}, errors.Join(err, c.mend())
		}
		return c.loss(ctx, st.Active)
	})
}
