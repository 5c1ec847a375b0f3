// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

const (
	failoverRate = 10_000 // frames a second
	// The kernel reports one link event a second; a cut after that long is reported at once.
	quiet = 1200 * time.Millisecond
	// The effect of a cut shows within this time.
	aftermath = 100 * time.Millisecond
	// The time without a cut to compare with ends so long before.
	calmBefore = 200 * time.Millisecond
)

// cutter is a team on veth NICs, whose frames the kernel alone forwards, with a stream through it.
type cutter struct {
	*rig
	stream   *lab.Running
	witness  *lab.Witness
	carriers []*carrierCounter // by NIC
	told     linkEvents
}

func (b *bench) cutter(ctx context.Context, nics int, inwards bool, path string,
	settings ...string) (c *cutter, err error) {
	r, err := b.switched("cut", network{nics: nics})
	if err != nil {
		return nil, err
	}
	c = &cutter{rig: r}
	defer func() {
		if err != nil {
			b.close(r)
		}
	}()
	var names []string
	for i := range nics {
		names = append(names, fmt.Sprintf("eth%d", i+1))
	}
	if c.carriers, err = openCarrierCounters(c.box, names...); err != nil {
		return nil, err
	}
	c.deferClose(func() error { closeCarrierCounters(c.carriers); return nil })
	// A NIC that is cut each few seconds would wait before it is used again.
	if err := c.team(ctx, path, append(append(settings, "--damping", "off"), names...)...); err != nil {
		return nil, err
	}
	if err := c.listen(); err != nil {
		return nil, err
	}
	if c.witness, err = lab.StartWitness(); err != nil {
		return nil, err
	}
	c.deferClose(c.witness.Close)
	s := lab.Stream{From: c.box, To: c.peer, Address: peerAddr, Rate: failoverRate, Witness: c.witness}
	if inwards {
		s.From, s.To, s.Address = c.peer, c.box, boxAddr
	}
	if c.stream, err = s.Start(); err != nil {
		return nil, err
	}
	c.deferClose(func() error { _, err := c.stream.Stop(); return err })
	return c, nil
}

// ready waits until all members are usable and the last link event is long enough ago, and returns the active member.
func (c *cutter) ready(ctx context.Context) (string, error) {
	st, err := c.awaitStatus(ctx, "all members have a link", func(s *api.Status) bool {
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

// cut removes a member's carrier and returns when it was gone.
func (c *cutter) cut(member string) (time.Time, error) {
	n, err := strconv.Atoi(member[len("eth"):])
	if err != nil || n < 1 || n > len(c.lines) {
		return time.Time{}, fmt.Errorf("member %q is none of ours", member)
	}
	return c.carriers[n-1].timeLoss(c.lines[n-1].Cut)
}

// loss is the effect of a cut. Times count from the loss of the carrier.
type loss struct {
	gap     lab.Gap       // longest since
	before  lab.Gap       // the longest in as long a time before the cut
	kernel  time.Duration // until the kernel's link event
	team    time.Duration // until the team regarded the member as down
	took    time.Duration // as the team measured it, from then until its new plan was in force
	started time.Duration // until the longest gap began, 0 if it was under way
}

// loss cuts a member, measures the effect, and mends all.
func (c *cutter) loss(ctx context.Context, member string) (l loss, err error) {
	defer func() { err = errors.Join(err, c.mend()) }()
	c.told.reset()
	at, err := c.cut(member)
	if err == nil {
		err = pause(ctx, aftermath)
	}
	if err != nil {
		return l, err
	}
	if err := c.checkDatapath(ctx); err != nil {
		return l, err
	}
	l.gap = c.stream.GapAfter(at, at.Add(aftermath))
	l.before = c.stream.GapAfter(at.Add(-aftermath-calmBefore), at.Add(-calmBefore))
	l.started = l.gap.At.Sub(at)
	l.kernel = -1
	if told := c.told.timeOf(member); !told.IsZero() {
		l.kernel = told.Sub(at)
	}
	err = c.client.Events(ctx, false, func(e *api.Event) error {
		if e.Event == "member-down" && e.Member == member && e.Time.After(at.Add(-aftermath)) {
			l.team, l.took = e.Time.Sub(at), time.Duration(e.Took)
		}
		return nil
	})
	return l, err
}

func (c *cutter) mend() error {
	for _, l := range c.lines {
		if err := l.Mend(); err != nil {
			return err
		}
	}
	return nil
}

// linkEvents are the times of the first link events of lost carriers.
type linkEvents struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (t *linkEvents) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = map[string]time.Time{}
}

func (t *linkEvents) timeOf(name string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at[name]
}

func (t *linkEvents) record(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at != nil && t.at[name].IsZero() {
		t.at[name] = time.Now()
	}
}

// listen records box's link events of lost carriers.
func (c *cutter) listen() error {
	events, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	if err := c.box.Do(func() error { return netlink.LinkSubscribe(events, done) }); err != nil {
		return fmt.Errorf("listen to link events: %w", err)
	}
	c.deferClose(func() error { close(done); return nil })
	go func() {
		for e := range events {
			if a := e.Attrs(); a != nil && a.OperState == netlink.OperDown {
				c.told.record(a.Name)
			}
		}
	}()
	return nil
}

// late is the part of the gap after the team knew of the loss: that of the data path, without the link watch.
func (l loss) late() time.Duration { return max(0, l.gap.Net-max(0, l.team)) }

// gaps repeats losses. Beside the gap of each it reports the longest one without a cut. late, if not nil, gets the part
// of each gap that is not the link watch's.
func (b *bench) gaps(ctx context.Context, n int, m, late *measure, lose func(context.Context) (loss, error)) {
	of := team1
	if strings.HasPrefix(m.Name, fast) {
		of = fast
	}
	with, without, after := m.add(of), m.add(noCut), &row{}
	if late != nil {
		after = late.add(of)
	}
	var all []loss
	for i := range n {
		if ctx.Err() != nil || with.Missing != "" {
			break
		}
		l, err := lose(ctx)
		if err != nil {
			with.fail(i, err)
			without.fail(i, err)
			after.fail(i, err)
			b.logf("%s %d/%d: %v", m.Name, i+1, n, err)
			continue
		}
		all = append(all, l)
		with.set(i, milliseconds(l.gap.Net))
		without.set(i, milliseconds(l.before.Net))
		after.set(i, milliseconds(l.late()))
		b.logf("%s %d/%d %s  cut %v from %v on, told by the kernel after %v, noted by the team after %v (took "+
			"%v)  no cut %v", m.Name, i+1, n, m.Unit, l.gap, round(l.started), round(l.kernel), round(l.team),
			round(l.took), l.before)
	}
	m.Notes = append(m.Notes, summary(all)...)
}

// summary formats the other figures of the losses.
func summary(all []loss) []string {
	if len(all) == 0 {
		return nil
	}
	figures := func(of func(loss) time.Duration) string {
		var fs figures
		for _, l := range all {
			fs = append(fs, figure(milliseconds(of(l))))
		}
		known := fs.sortedKnown()
		return fmt.Sprintf("%s (%s–%s) ms", number(median(known)), number(known[0]), number(known[len(known)-1]))
	}
	longest := slices.MaxFunc(all, func(a, b loss) int { return int(a.gap.Length - b.gap.Length) })
	late := 0
	for _, l := range all {
		if l.kernel < 0 || l.kernel > 10*time.Millisecond {
			late++
		}
	}
	return []string{
		fmt.Sprintf("longest with standstills: %s ms", number(milliseconds(longest.gap.Length))),
		fmt.Sprintf("from the flag until the team noted the loss: %s; from then until its plan was in force: %s",
			figures(func(l loss) time.Duration { return l.team }),
			figures(func(l loss) time.Duration { return l.took })),
		fmt.Sprintf("the kernel told of %d of %d more than 10 ms late: it tells once a second of all links "+
			"of the machine together", late, len(all)),
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
