// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"time"

	"nicteam/internal/lab"
)

const (
	changeRate   = 20_000 // frames a second
	changeMargin = 200 * time.Millisecond
)

// changeDatapath changes a team's data path under traffic, to and fro.
func (b *bench) changeDatapath(ctx context.Context) {
	what := fmt.Sprintf("%d frames/s by a team of 2 while nicteam set changes the data path, relay to fastpath "+
		"and back in turn: frames", changeRate)
	lost := b.measure("fastpath-change-lost",
		what+" lost at a change, without those that waited too long for the relay, of the adapter's queue", "frames")
	twice := b.measure("fastpath-change-duplicated", what+" that came twice", "frames")
	late := b.measure("fastpath-change-reordered", what+" that came after a later one of their flow", "frames")
	gap := b.measure("fastpath-change-gap", "the same: longest gap, without the machine's standstills", "ms")
	all := []*measure{lost, twice, late, gap}
	if !b.wants(lost.Name, twice.Name, late.Name, gap.Name) {
		return
	}
	r, err := b.switched("change", network{nics: 2})
	if err == nil {
		defer b.close(r)
		err = r.team(ctx, fast, "eth1", "eth2", "--mode", "active-backup")
	}
	if err != nil {
		b.absent(err, all...)
		return
	}
	witness, err := lab.StartWitness()
	if err != nil {
		b.absent(err, all...)
		return
	}
	defer witness.Close()
	turn := func(name string, s lab.Stream) contestant {
		s.Rate, s.Witness = changeRate, witness
		return contestant{name: name, take: func(ctx context.Context) ([]float64, error) {
			report, waited, err := r.changeUnderTraffic(ctx, s)
			lost.Notes = append(lost.Notes, fmt.Sprintf("%s, to %s: %v; the adapter's queue had no room for %d",
				name, r.path, report, waited))
			return []float64{float64(report.Lost - min(report.Lost, waited)), float64(report.Duplicated),
				float64(report.Reordered), milliseconds(report.Gap.Net)}, err
		}}
	}
	b.interleave(ctx, b.few(20), []contestant{
		turn("out", lab.Stream{From: r.box, To: r.peer, Address: peerAddr}),
		turn("in", lab.Stream{From: r.peer, To: r.box, Address: boxAddr}),
	}, all...)
}

// changeUnderTraffic changes the data path in the middle of a stream. waited are frames that the full queue of the
// adapter dropped because the machine did not schedule the team's process: they are no effect of the change.
func (r *rig) changeUnderTraffic(ctx context.Context, s lab.Stream) (report lab.Report, waited uint64, err error) {
	adapter, err := r.box.Handle().LinkByName(teamName)
	if err != nil {
		return report, 0, err
	}
	waited = adapter.Attrs().Statistics.TxDropped
	running, err := s.Start()
	if err != nil {
		return report, 0, err
	}
	to := map[string]string{relay: fast, fast: relay}[r.path]
	err = pause(ctx, changeMargin)
	if err == nil {
		err = r.nicteam(ctx, "set", teamName, "datapath="+to)
	}
	if err == nil {
		r.path = to
		err = r.checkDatapath(ctx)
	}
	if err == nil {
		err = pause(ctx, changeMargin)
	}
	report, stopped := running.Stop()
	if err == nil {
		err = stopped
	}
	if err == nil {
		adapter, err = r.box.Handle().LinkByName(teamName)
	}
	if err != nil {
		return report, 0, err
	}
	return report, adapter.Attrs().Statistics.TxDropped - waited, nil
}
