package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"nicteam/internal/lab"
	nicteam "nicteam/team"
)

const (
	failoverRate = 10_000 // frames a second
	// The kernel tells of one link event a second; a cut after that long is a first event.
	quiet = 1200 * time.Millisecond
	// What a cut does shows within this time.
	aftermath = 300 * time.Millisecond
	// The time without a cut that it is compared with ends so long before.
	calmBefore = 200 * time.Millisecond
)

// cutter is a team in mode active-backup on TAP NICs with a stream through it.
type cutter struct {
	*rig
	stream  *lab.Running
	witness *lab.Witness
}

func (b *bench) cutter(ctx context.Context, nics int, inwards bool) (c *cutter, err error) {
	c = &cutter{}
	if c.rig, err = b.switched("cut", network{nics: nics, wires: true}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close(c.rig)
		}
	}()
	args := []string{"--mode", "active-backup"}
	for i := range nics {
		args = append(args, fmt.Sprintf("eth%d", i+1))
	}
	if err := c.team(ctx, args...); err != nil {
		return nil, err
	}
	if c.witness, err = lab.StartWitness(); err != nil {
		return nil, err
	}
	c.defers(c.witness.Close)
	s := lab.Stream{From: c.box, To: c.peer, Address: peerAddr, Rate: failoverRate, Witness: c.witness}
	if inwards {
		s.From, s.To, s.Address = c.peer, c.box, boxAddr
	}
	if c.stream, err = s.Start(); err != nil {
		return nil, err
	}
	c.defers(func() error { _, err := c.stream.Stop(); return err })
	return c, nil
}

// ready waits until all members can be used and link events are a while ago, and returns the active one.
func (c *cutter) ready(ctx context.Context) (string, error) {
	st, err := c.awaitStatus(ctx, "all members have a link", func(s *nicteam.Status) bool {
		for _, m := range s.Members {
			if !m.Link || m.State != "up" && m.State != "standby" {
				return false
			}
		}
		return s.Active != ""
	})
	if err != nil {
		return "", err
	}
	return st.Active, pause(ctx, quiet)
}

// cut takes the carrier from the active member and returns when it did.
func (c *cutter) cut(active string) (time.Time, error) {
	n, err := strconv.Atoi(active[len("eth"):])
	if err != nil || n < 1 || n > len(c.lines) {
		return time.Time{}, fmt.Errorf("active member %q is none of ours", active)
	}
	at := time.Now()
	return at, c.lines[n-1].Cut()
}

// gap is the longest gap of all flows around a cut, and for comparison that of as long a time before.
type gap struct {
	lab.Gap
	calm lab.Gap
}

func (c *cutter) gap(ctx context.Context, cut time.Time) (g gap, err error) {
	if err := pause(ctx, aftermath); err != nil {
		return g, err
	}
	g.Gap, _ = c.stream.GapWithin(cut, cut.Add(aftermath))
	g.calm, _ = c.stream.GapWithin(cut.Add(-aftermath-calmBefore), cut.Add(-calmBefore))
	return g, nil
}

func (c *cutter) mend() error {
	for _, l := range c.lines {
		if err := l.Mend(); err != nil {
			return err
		}
	}
	return nil
}

// failover cuts the active one of two NICs again and again.
func (b *bench) failover(ctx context.Context) {
	for _, d := range []struct {
		name, what string
		inwards    bool
	}{
		{"failover-out", "box to peer", false},
		{"failover-in", "peer to box", true},
	} {
		m := b.measure(d.name, fmt.Sprintf("carrier lost on the active one of 2 TAP NICs, 10000 frames/s from %s: longest gap without the machine's standstills", d.what), "ms")
		if !b.wants(d.name) {
			continue
		}
		c, err := b.cutter(ctx, 2, d.inwards)
		if err != nil {
			b.absent(err, m)
			continue
		}
		b.gaps(ctx, b.few(20), m, func(ctx context.Context) (gap, error) {
			active, err := c.ready(ctx)
			if err != nil {
				return gap{}, err
			}
			at, err := c.cut(active)
			if err != nil {
				return gap{}, err
			}
			g, err := c.gap(ctx, at)
			return g, errors.Join(err, c.mend())
		})
		b.close(c.rig)
	}
}

// secondLoss cuts the active one of three NICs and, 100 ms later, the one that took over.
func (b *bench) secondLoss(ctx context.Context) {
	m := b.measure("second-loss", "the member that took over loses its carrier 100 ms after the first did, which the kernel tells up to 1 s late: longest gap without standstills", "ms")
	c, err := b.cutter(ctx, 3, false)
	if err != nil {
		b.absent(err, m)
		return
	}
	defer b.close(c.rig)
	b.gaps(ctx, b.few(10), m, func(ctx context.Context) (gap, error) {
		first, err := c.ready(ctx)
		if err != nil {
			return gap{}, err
		}
		at, err := c.cut(first)
		if err != nil {
			return gap{}, err
		}
		st, err := c.awaitStatus(ctx, "another member is active", func(s *nicteam.Status) bool { return s.Active != "" && s.Active != first })
		if err == nil {
			err = pause(ctx, time.Until(at.Add(100*time.Millisecond)))
		}
		if err != nil {
			return gap{}, err
		}
		if at, err = c.cut(st.Active); err != nil {
			return gap{}, err
		}
		// The first cut is not in the time before.
		g, err := c.gap(ctx, at)
		return g, errors.Join(err, c.mend())
	})
}

// gaps repeats cuts. Beside the gap of each stands what the machine does to the traffic without one.
func (b *bench) gaps(ctx context.Context, n int, m *measure, cut func(context.Context) (gap, error)) {
	with, without := m.add(team1), m.add(noCut)
	longest := time.Duration(0)
	for i := range n {
		if ctx.Err() != nil || with.Missing != "" {
			break
		}
		g, err := cut(ctx)
		if err != nil {
			with.fail(i, err)
			without.fail(i, err)
			b.say("%s %d/%d: %v", m.Name, i+1, n, err)
			continue
		}
		with.set(i, milliseconds(g.Net))
		without.set(i, milliseconds(g.calm.Net))
		longest = max(longest, g.Length)
		b.say("%s %d/%d %s  cut %v  no cut %v", m.Name, i+1, n, m.Unit, g.Gap, g.calm)
	}
	m.Notes = append(m.Notes, fmt.Sprintf("longest with standstills: %s ms", number(milliseconds(longest))),
		"the wires are threads of this program, so what a busy machine does to them is in the gaps; \"no cut\" is the longest gap of as long a time before each cut")
}

// shares kills one of six members of a round-robin team and looks at what the others carry.
func (b *bench) shares(ctx context.Context) {
	const least, most = "least", "most"
	m := b.measure("dead-of-six", "round-robin, one of 6 members without a carrier: the share of frames of the survivor that carries least, and of the one that carries most", "%")
	r, err := b.switched("six", network{nics: 6, lag: true})
	if err != nil {
		b.absent(err, m)
		return
	}
	defer b.close(r)
	if err := r.team(ctx, "eth1", "eth2", "eth3", "eth4", "eth5", "eth6", "--mode", "round-robin"); err != nil {
		b.absent(err, m)
		return
	}
	const dead = "eth3"
	err = r.lines[2].Cut()
	if err == nil {
		_, err = r.awaitStatus(ctx, dead+" is down", func(s *nicteam.Status) bool { return member(s, dead).State == "down" })
	}
	if err != nil {
		b.absent(err, m)
		return
	}
	var low, high []float64
	for range b.few(5) {
		l, h, err := r.share(ctx, b.turn, dead)
		if err != nil {
			b.absent(err, m)
			return
		}
		low, high = append(low, l), append(high, h)
		b.say("%s: %s–%s %%", m.Name, number(l), number(h))
	}
	for _, s := range []struct {
		name    string
		figures []float64
	}{{least, low}, {most, high}} {
		row := m.add(s.name)
		for i, f := range s.figures {
			row.set(i, f)
		}
	}
}

// share sends for a time and returns the least and the greatest part of a survivor, in percent.
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
