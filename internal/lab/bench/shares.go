// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

// shares cuts one of six members of a round-robin team and measures the shares of the others.
func (b *bench) shares(ctx context.Context) {
	m := b.measure("dead-of-six", "round-robin, one of 6 members without a carrier: the share of frames of "+
		"the survivor that carries least, and of the one that carries most", "%")
	for _, path := range []string{relay, fast} {
		if err := b.sharesOf(ctx, path, m); err != nil {
			for _, of := range []string{" least", " most"} {
				m.add(path + of).Missing = err.Error()
			}
			b.logf("%s: %s: not taken: %v", m.Name, path, err)
		}
	}
}

func (b *bench) sharesOf(ctx context.Context, path string, m *measure) error {
	r, err := b.switched("six", network{nics: 6, lag: true})
	if err != nil {
		return err
	}
	defer b.close(r)
	if err := r.team(ctx, path, "eth1", "eth2", "eth3", "eth4", "eth5", "eth6", "--mode", "round-robin"); err != nil {
		return err
	}
	const dead = "eth3"
	err = r.lines[2].Cut()
	if err == nil {
		_, err = r.awaitStatus(ctx, dead+" is down", func(s *api.Status) bool {
			return member(s, dead).State == "down"
		})
	}
	if err != nil {
		return err
	}
	var low, high []float64
	for range b.few(5) {
		l, h, err := r.share(ctx, b.turn, dead)
		if err != nil {
			return err
		}
		low, high = append(low, l), append(high, h)
		b.logf("%s: %s %s–%s %%", m.Name, path, number(l), number(h))
	}
	for _, s := range []struct {
		name    string
		figures []float64
	}{{path + " least", low}, {path + " most", high}} {
		row := m.add(s.name)
		for i, f := range s.figures {
			row.set(i, f)
		}
	}
	return r.checkDatapath(ctx)
}

// share sends for a time and returns the smallest and the largest share of a remaining member, in percent.
func (r *rig) share(ctx context.Context, d time.Duration, dead string) (least, most float64, err error) {
	before, err := r.client.Status(ctx)
	if err != nil {
		return 0, 0, err
	}
	s, err := lab.Stream{From: r.box, To: r.peer, Address: peerAddr, Rate: 5000}.Start()
	if err != nil {
		return 0, 0, err
	}
	err = pause(ctx, d)
	if _, e := s.Stop(); err == nil {
		err = e
	}
	if err != nil {
		return 0, 0, err
	}
	after, err := r.client.Status(ctx)
	if err != nil {
		return 0, 0, err
	}
	var frames []float64
	sum := 0.0
	for _, m := range after.Members {
		n := float64(m.TX.Frames - member(before, m.Name).TX.Frames)
		if m.Name == dead {
			if n > 0 {
				return 0, 0, fmt.Errorf("dead member %s sent %v frames", dead, n)
			}
			continue
		}
		frames = append(frames, n)
		sum += n
	}
	if sum == 0 {
		return 0, 0, fmt.Errorf("no member sent anything")
	}
	least, most = math.Inf(1), 0
	for _, n := range frames {
		least, most = min(least, 100*n/sum), max(most, 100*n/sum)
	}
	return least, most, nil
}
