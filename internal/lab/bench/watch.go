// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

const (
	watchMembers = 3
	watchRate    = 1500 // frames a second by each member, each way
	watchFlows   = 48
	// A member that is back carries as much before it is silenced again.
	watchLeast   = 1000
	watchSilence = 5 * time.Second // until a member must have left use
)

// silencedModes are the modes in which a member is silenced, and how the switch returns frames to a static LAG.
var silencedModes = []struct {
	mode   string
	lag    bool
	spread lab.Spread
}{
	{"elb", false, 0},
	{"active-backup", false, 0},
	{"xor", true, lab.SpreadFlow},
	{"round-robin", true, lab.SpreadFrames},
}

// directions of silence: what a NIC sends is lost, or what it would receive.
var directions = []string{"transmit", "receive"}

// silencer is a team on TAP NICs, which lose frames in one direction without a sign. peer is its gateway.
type silencer struct {
	*rig
	wires   []*lab.Wire // of eth1, eth2, …
	streams []*lab.Running
}

func (b *bench) silencer(ctx context.Context, members int, lag bool, spread lab.Spread, path string,
	settings ...string) (s *silencer, err error) {
	r, err := b.newRig("watch")
	if err != nil {
		return nil, err
	}
	s = &silencer{rig: r}
	defer func() {
		if err != nil {
			b.close(r)
		}
	}()
	sw, err := lab.NewSwitch("watch-switch", lab.SwitchOptions{})
	if err != nil {
		return nil, err
	}
	r.deferClose(sw.Close)
	var names, ports []string
	for i := range members {
		nic, port := fmt.Sprintf("eth%d", i+1), fmt.Sprintf("p%d", i+1)
		w, err := lab.NewWire(r.box, nic, sw, port, lab.WireOptions{})
		if err != nil {
			return nil, err
		}
		r.deferClose(w.Close)
		s.wires = append(s.wires, w)
		names, ports = append(names, nic), append(ports, port)
	}
	if _, err := lab.NewCable(sw, "uplink", r.peer, "eth1", unfiltered); err != nil {
		return nil, err
	}
	if lag {
		if _, err := sw.LAG("lag", spread, ports...); err != nil {
			return nil, err
		}
	}
	if err := r.peer.SetAddr("eth1", peerCIDR); err != nil {
		return nil, err
	}
	// The gateway is known before, as on a host that runs; a switch with a LAG may answer by another NIC.
	if err := r.box.SetAddr("eth1", r.addresses...); err != nil {
		return nil, err
	}
	if !lag {
		if err := r.awaitPing(ctx); err != nil {
			return nil, err
		}
	}
	if out, err := r.box.Command("ip", "route", "add", "default", "via",
		peerAddr.String()).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("add default route: %w: %s", err, oneLine(out))
	}
	if err := r.team(ctx, path, append(settings, names...)...); err != nil {
		return nil, err
	}
	return s, s.well(ctx)
}

// load starts a stream each way.
func (s *silencer) load(rate int) error {
	for _, st := range []lab.Stream{
		{From: s.box, To: s.peer, Address: peerAddr, Rate: rate, Flows: watchFlows},
		{From: s.peer, To: s.box, Address: boxAddr, Rate: rate, Flows: watchFlows},
	} {
		running, err := st.Start()
		if err != nil {
			return err
		}
		s.deferClose(func() error { _, err := running.Stop(); return err })
		s.streams = append(s.streams, running)
	}
	return nil
}

// well waits until all members are used and answered.
func (s *silencer) well(ctx context.Context) error {
	_, err := s.awaitStatus(ctx, "all members are answered", func(st *api.Status) bool {
		return !slices.ContainsFunc(st.Members, func(m api.Member) bool {
			return m.State != "up" && m.State != "standby" || m.Watch == nil || m.Watch.Verdict != "up"
		})
	})
	return err
}

// busyMember waits until a member sends and receives enough, and returns its index: the active one, or any of others.
func (s *silencer) busyMember(ctx context.Context, n int) (int, error) {
	for deadline := time.Now().Add(10 * time.Second); ; n++ {
		was, err := s.client.Status(ctx)
		if err == nil {
			err = pause(ctx, 250*time.Millisecond)
		}
		if err != nil {
			return 0, err
		}
		is, err := s.client.Status(ctx)
		if err != nil {
			return 0, err
		}
		for i := range is.Members {
			at := (n + i) % len(is.Members)
			m, before := is.Members[at], was.Members[at]
			tx, rx := m.TX.Frames-before.TX.Frames, m.RX.Frames-before.RX.Frames
			if min(tx, rx) >= watchLeast/4 {
				return at, nil
			}
		}
		if time.Now().After(deadline) {
			return 0, errors.New("no member carries enough in both directions for 10s")
		}
	}
}

func (s *silencer) swallow(member int, direction string, on bool) {
	if direction == "transmit" {
		s.wires[member].A.SwallowTx(on)
	} else {
		s.wires[member].A.SwallowRx(on)
	}
}

// silence silences a member and returns how long that took to put it out of use, and which others went down.
func (s *silencer) silence(ctx context.Context, n int, direction string) (took time.Duration, others []string,
	err error) {
	name := fmt.Sprintf("eth%d", n+1)
	defer s.swallow(n, direction, false)
	at := time.Now()
	s.swallow(n, direction, true)
	took = -1
	for took < 0 && err == nil && time.Since(at) < watchSilence {
		if err = pause(ctx, 20*time.Millisecond); err != nil {
			break
		}
		others = others[:0]
		err = s.client.Events(ctx, false, func(e *api.Event) error {
			switch {
			case e.Event != "member-down" || e.Time.Before(at):
			case e.Member != name:
				others = append(others, e.Member)
			case took < 0:
				took = e.Time.Sub(at)
			}
			return nil
		})
	}
	if took < 0 && err == nil {
		err = fmt.Errorf("%s is still in use %v after it fell silent", name, watchSilence)
	}
	return took, others, err
}

// silenced silences members under load, in each mode, direction and data path.
func (b *bench) silenced(ctx context.Context) {
	for _, mode := range silencedModes {
		m := b.measure("watch-"+mode.mode,
			fmt.Sprintf("a member of %d (TAP) loses all frames of one direction while its "+
				"light is on, with %d frames/s or more each way: time until it is out of use",
				watchMembers, watchLeast),
			"ms")
		if !b.wants(m.Name) {
			continue
		}
		for _, path := range []string{relay, fast} {
			for _, direction := range directions {
				row := m.add(path + " " + direction)
				if err := b.silencedIn(ctx, mode.mode, mode.lag, mode.spread, path, direction, m, row); err != nil {
					row.Missing = err.Error()
					b.logf("%s %s: %v", m.Name, row.Name, err)
				}
			}
		}
	}
}

func (b *bench) silencedIn(ctx context.Context, mode string, lag bool, spread lab.Spread, path, direction string,
	m *measure, row *row) error {
	// Damping would keep a member out of use that fails again and again.
	s, err := b.silencer(ctx, watchMembers, lag, spread, path, "--mode", mode, "--damping", "off")
	if err != nil {
		return err
	}
	defer b.close(s.rig)
	rate := watchRate
	if mode != "active-backup" {
		rate *= watchMembers
	}
	if err := s.load(rate); err != nil {
		return err
	}
	wrong := 0
	for i := range b.few(20) {
		if ctx.Err() != nil || row.Missing != "" {
			break
		}
		n, err := s.busyMember(ctx, i)
		if err != nil {
			return err
		}
		took, others, err := s.silence(ctx, n, direction)
		wrong += len(others)
		if err != nil {
			row.fail(i, err)
		} else {
			row.set(i, milliseconds(took))
		}
		b.logf("%s %s %d: eth%d out of use after %v, others down: %v %v", m.Name, row.Name, i+1, n+1, round(took),
			others,
			orNothing(err))
		if err := s.well(ctx); err != nil {
			return err
		}
	}
	if wrong > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("%s: members down that were not silenced: %d", row.Name, wrong))
	}
	return nil
}

func orNothing(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// silencedIdle silences a member while nothing moves.
func (b *bench) silencedIdle(ctx context.Context) {
	m := b.measure("watch-idle", "the same in elb while nothing else moves", "ms")
	for _, path := range []string{relay, fast} {
		s, err := b.silencer(ctx, watchMembers, false, 0, path, "--mode", "elb", "--damping", "off")
		if err != nil {
			m.add(path).Missing = err.Error()
			continue
		}
		i := 0
		b.repeat(ctx, b.few(10), path, m, func(ctx context.Context, _ int) (float64, error) {
			i++
			took, _, err := s.silence(ctx, i%watchMembers, directions[i%2])
			return milliseconds(took), errors.Join(err, s.well(ctx))
		})
		b.close(s.rig)
	}
}
