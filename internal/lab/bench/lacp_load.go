// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

// onTime measures at the partner's end when LACPDUs arrive while the team's NICs are fully loaded in both directions.
func (b *bench) onTime(ctx context.Context) {
	what := "802.3ad, 2 unlimited NICs under TCP, 8 streams each way, the partner (nicteam) wants a LACPDU " +
		"each second: time between one and the next on the wire"
	all := b.measure("lacp-pdu-gap", what+", median", "ms")
	p99 := b.measure("lacp-pdu-gap-p99", "the same, 99th percentile", "ms")
	for _, path := range []string{relay, fast} {
		if err := b.onTimeOf(ctx, path, all, p99); err != nil {
			for _, m := range []*measure{all, p99} {
				m.add(path).Missing = err.Error()
			}
			b.logf("%s: %s: not taken: %v", all.Name, path, err)
		}
	}
}

func (b *bench) onTimeOf(ctx context.Context, path string, all, p99 *measure) error {
	a, err := b.withTwin(ctx, path, 2, 0)
	if err != nil {
		return err
	}
	defer b.close(a.rig)
	if _, err := a.awaitMembers(ctx, a.nics...); err != nil {
		return err
	}
	out, err := lab.Load{From: a.box, To: a.peer, Address: peerAddr, Flows: 8}.Start(ctx)
	if err != nil {
		return err
	}
	defer out.Stop()
	in, err := lab.Load{From: a.peer, To: a.box, Address: boxAddr, Flows: 8}.Start(ctx)
	if err != nil {
		return err
	}
	defer in.Stop()
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	row, late := all.add(path), p99.add(path)
	d := 30 * time.Second
	if b.quick {
		d = 6 * time.Second
	}
	var ears []*lacpCapture
	for _, nic := range a.nics {
		e, err := captureLACP(a.peer, nic)
		if err != nil {
			return err
		}
		defer e.close()
		ears = append(ears, e)
	}
	from := out.Rate()
	inFrom := in.Rate()
	if err := pause(ctx, d); err != nil {
		return err
	}
	var gaps []float64
	for _, e := range ears {
		heard := e.times()
		for i := 1; i < len(heard); i++ {
			gaps = append(gaps, milliseconds(heard[i].Sub(heard[i-1])))
		}
	}
	if len(gaps) == 0 {
		return errors.New("no LACPDUs came")
	}
	slices.Sort(gaps)
	row.set(0, median(gaps))
	late.set(0, gaps[int(math.Ceil(0.99*float64(len(gaps))))-1])
	sent, received := out.Rate().Less(from), in.Rate().Less(inFrom)
	all.Notes = append(all.Notes, fmt.Sprintf("%s: %d gaps, the longest %s ms; %s Mbit/s out, %s in meanwhile",
		path, len(gaps), number(gaps[len(gaps)-1]),
		number(float64(sent.Bytes)*8/sent.Took.Seconds()/1e6),
		number(float64(received.Bytes)*8/received.Took.Seconds()/1e6)))
	b.logf("%s %s", all.Name, all.Notes[len(all.Notes)-1])
	return a.checkDatapath(ctx)
}

// lacpFlows compares the throughput of a team of four shaped NICs with that of one NIC.
func (b *bench) lacpFlows(ctx context.Context) {
	const flows, rate = 32, 200_000_000
	m := b.measure("lacp-32-flows", "802.3ad with a partner (nicteam): TCP, 32 flows from box over 4 NICs "+
		"of 200 Mbit/s; 8 flows over one such NIC as it is, times 4", "Mbit/s").
		compare(team4, fourPlain).compare(fast4, fourPlain)
	var all []contestant
	add := func(name string, flows int, times float64, r *rig, err error) {
		if err != nil {
			b.logf("%s cannot take part: %v", name, err)
		}
		all = append(all, contestant{name: name, missing: err, take: func(ctx context.Context) ([]float64, error) {
			got, err := b.load(r, flows).Measure(ctx, b.turn)
			if err == nil && got.Bytes == 0 {
				err = errors.New("nothing arrived")
			}
			if err == nil {
				err = r.checkDatapath(ctx)
			}
			return []float64{times * float64(got.Bytes) * 8 / got.Took.Seconds() / 1e6}, err
		}})
	}
	one, err := b.direct("lacp", 1)
	if err == nil {
		defer b.close(one)
		err = errors.Join(one.lines[0].Shape(rate), one.plain(ctx))
	}
	add(fourPlain, flows/4, 4, one, err)
	for _, team := range []struct{ name, path string }{{team4, relay}, {fast4, fast}} {
		a, err := b.withTwin(ctx, team.path, 4, rate)
		if err != nil {
			add(team.name, flows, 1, nil, err)
			continue
		}
		defer b.close(a.rig)
		_, err = a.awaitMembers(ctx, a.nics...)
		add(team.name, flows, 1, a.rig, err)
	}
	b.interleave(ctx, b.rounds, all, m)
}

// flaps sets one link of the partner down and up repeatedly, and measures the other.
func (b *bench) flaps(ctx context.Context) {
	m := b.measure("lacp-flaps", "802.3ad with Open vSwitch, 2 cables, one of which the partner takes down "+
		"and up 200 times: how often the other one was not in use, at either end", "times")
	for _, path := range []string{relay, fast} {
		if err := b.flapsOf(ctx, path, m); err != nil {
			m.add(path).Missing = err.Error()
			b.logf("%s: %s: not taken: %v", m.Name, path, err)
		}
	}
}

func (b *bench) flapsOf(ctx context.Context, path string, m *measure) error {
	a, err := b.withOVS(ctx, path, 2)
	if err != nil {
		return err
	}
	defer b.close(a.rig)
	if _, err := a.awaitMembers(ctx, a.nics...); err != nil {
		return err
	}
	const steady = "eth1"
	b.repeat(ctx, 1, path, m, func(ctx context.Context, _ int) (float64, error) {
		began := time.Now()
		seen := 0
		watching, stop := context.WithCancel(ctx)
		var wait sync.WaitGroup
		wait.Go(func() {
			for watching.Err() == nil {
				members, err := a.ovs.LACP(watching, a.bonds[steady])
				for _, m := range members {
					if err == nil && m.Name == "p1" && !m.Works() {
						seen++
					}
				}
				_ = pause(watching, 100*time.Millisecond)
			}
		})
		err := func() error {
			for range b.few(200) {
				for _, do := range []func() error{a.all[1].Cut, a.all[1].Mend} {
					if err := errors.Join(do(), pause(ctx, 20*time.Millisecond)); err != nil {
						return err
					}
				}
			}
			return nil
		}()
		stop()
		wait.Wait()
		if err != nil {
			return 0, err
		}
		flaps := seen
		err = a.client.Events(ctx, false, func(e *api.Event) error {
			if e.Member == steady && e.Time.After(began) && (e.Event == "member-down" || e.Event == "partner-changed") {
				flaps++
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		// The other link must not be affected.
		_, err = a.awaitMembers(ctx, a.nics...)
		return float64(flaps), err
	})
	return nil
}
