// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

// negotiation measures how long the two ends take until they distribute.
func (b *bench) negotiation(ctx context.Context) {
	m := b.measure("lacp-agreed", "802.3ad, 2 NICs, LACPDUs each second: from the moment both cables have "+
		"a carrier until both ends send by both", "ms")
	for _, of := range []string{byOVS, byTwin} {
		a, err := b.negotiationWith(ctx, of, 2)
		if err != nil {
			m.add(of).Missing = err.Error()
			b.logf("%s: %s: not taken: %v", m.Name, of, err)
			continue
		}
		b.repeat(ctx, b.few(5), of, m, func(ctx context.Context, _ int) (float64, error) {
			if err := a.forCables(a.nics, (*lab.Cable).Cut); err != nil {
				return 0, err
			}
			if _, err := a.awaitMembers(ctx); err != nil {
				return 0, err
			}
			// Neither end is still limited by its transmissions of before (802.1AX NTT limit).
			if err := pause(ctx, quiet); err != nil {
				return 0, err
			}
			if err := a.forCables(a.nics, (*lab.Cable).Mend); err != nil {
				return 0, err
			}
			plugged := time.Now()
			at, err := a.awaitMembers(ctx, a.nics...)
			return milliseconds(at.Sub(plugged)), err
		})
		b.close(a.rig)
	}
}

func (b *bench) negotiationWith(ctx context.Context, whom string, n int) (a *lacpLink, err error) {
	if whom == byOVS {
		a, err = b.withOVS(ctx, fast, n)
	} else {
		a, err = b.withTwin(ctx, fast, n, 0)
	}
	if err != nil {
		return nil, err
	}
	if _, err = a.awaitMembers(ctx, a.nics...); err != nil {
		b.close(a.rig)
		return nil, err
	}
	return a, nil
}

// silence measures how long a member is used whose partner has stopped sending LACPDUs, with carrier.
func (b *bench) silence(ctx context.Context) {
	m := b.measure("lacp-silence", "802.3ad with Open vSwitch, 2 cables, LACPDUs each second: from the last "+
		"LACPDU that comes by one of them until nothing is sent by it any more", "ms")
	if err := b.silenceOf(ctx, m); err != nil {
		b.absent(err, m)
	}
}

func (b *bench) silenceOf(ctx context.Context, m *measure) error {
	a, err := b.negotiationWith(ctx, byOVS, 2)
	if err != nil {
		return err
	}
	defer b.close(a.rig)
	e, err := captureLACP(a.box, "eth2")
	if err != nil {
		return err
	}
	defer e.close()
	b.repeat(ctx, b.few(5), byOVS, m, func(ctx context.Context, _ int) (float64, error) {
		if _, err := a.awaitMembers(ctx, a.nics...); err != nil {
			return 0, err
		}
		for since, began := len(e.times()), time.Now(); len(e.times()) == since; {
			if time.Since(began) > 5*time.Second {
				return 0, errors.New("no LACPDU was heard for 5s")
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return 0, err
			}
		}
		if err := a.all[1].SwallowFromB(true); err != nil {
			return 0, err
		}
		defer a.all[1].SwallowFromB(false)
		if _, err := a.awaitStatus(ctx, "nothing is sent by eth2", func(s *api.Status) bool {
			return slices.Equal(distributing(s), a.nics[:1])
		}); err != nil {
			return 0, err
		}
		at, heard := time.Now(), e.times()
		return milliseconds(at.Sub(heard[len(heard)-1])), nil
	})
	return nil
}

// changeOver removes one of two partners under traffic.
func (b *bench) changeOver(ctx context.Context) {
	m := b.measure("lacp-change-over",
		"802.3ad with two partners of 2 cables each (Open vSwitch): all cables to the one that is used lose "+
			"their carrier, 10000 frames/s from box to peer: longest gap from then on, without the machine's "+
			"standstills", "ms")
	for _, path := range []string{relay, fast} {
		if err := b.changeOverOf(ctx, path, m); err != nil {
			m.add(path).Missing = err.Error()
			b.logf("%s: %s: not taken: %v", m.Name, path, err)
		}
	}
}

func (b *bench) changeOverOf(ctx context.Context, path string, m *measure) error {
	a, err := b.withOVS(ctx, path, 2, 2)
	if err != nil {
		return err
	}
	defer b.close(a.rig)
	witness, err := lab.StartWitness()
	if err != nil {
		return err
	}
	defer witness.Close()
	stream, err := lab.Stream{From: a.box, To: a.peer, Address: peerAddr, Rate: failoverRate, Witness: witness}.Start()
	if err != nil {
		return err
	}
	defer stream.Stop()
	groups := [][]string{a.nics[:2], a.nics[2:]}
	b.repeat(ctx, b.few(10), path, m, func(ctx context.Context, i int) (float64, error) {
		st, err := a.awaitStatus(ctx, "one group is used and the other stands by", func(s *api.Status) bool {
			used := distributing(s)
			if !slices.Equal(used, groups[0]) && !slices.Equal(used, groups[1]) {
				return false
			}
			for _, m := range s.Members {
				// A link that has just come up waits first (wait_while_timer).
				if !m.Distributing && (m.LACP == nil || m.LACP.Mux != "ATTACHED") {
					return false
				}
			}
			return true
		})
		if err != nil {
			return 0, err
		}
		used := distributing(st)
		other := groups[0]
		if slices.Equal(used, other) {
			other = groups[1]
		}
		if err := pause(ctx, quiet); err != nil {
			return 0, err
		}
		at := time.Now()
		if err := a.forCables(used, (*lab.Cable).Cut); err != nil {
			return 0, err
		}
		_, err = a.awaitStatus(ctx, "the other group is used", func(s *api.Status) bool {
			return slices.Equal(distributing(s), other)
		})
		ours := time.Since(at)
		if err == nil {
			_, err = a.awaitMembers(ctx, other...)
		}
		if err == nil {
			err = pause(ctx, aftermath)
		}
		gap := stream.GapAfter(at, time.Now())
		b.logf("%s %s %d: from %v to %v: %v; box sends by them after %v", m.Name, path, i+1, used, other, gap,
			round(ours))
		if err := a.forCables(used, (*lab.Cable).Mend); err != nil {
			return 0, err
		}
		return milliseconds(gap.Net), err
	})
	return a.checkDatapath(ctx)
}
