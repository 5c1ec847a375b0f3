// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
)

const (
	connects = 200
	// The kernel sends a SYN again after a second.
	connectHangs = 900 * time.Millisecond

	costMembers = 8
	arpTime     = 20 * time.Second
)

// connectsAfter counts which of the connections hang that begin when a member falls silent.
func (b *bench) connectsAfter(ctx context.Context) {
	m := b.measure("watch-connects",
		fmt.Sprintf("elb of 2, idle: TCP connections that hang, of %d one after the other from "+
			"the moment on when a member falls silent", connects), "connections")
	for _, path := range []string{relay, fast} {
		s, err := b.silencer(ctx, 2, false, 0, path, "--mode", "elb", "--damping", "off")
		if err != nil {
			m.add(path).Missing = err.Error()
			continue
		}
		i := 0
		b.repeat(ctx, b.few(10), path, m, func(ctx context.Context, _ int) (float64, error) {
			i++
			return s.connectsAfterSilence(ctx, i%2, directions[i/2%2])
		})
		b.close(s.rig)
	}
}

func (s *silencer) connectsAfterSilence(ctx context.Context, member int, direction string) (float64, error) {
	var l net.Listener
	err := s.peer.Do(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(peerAddr.String(), "0"))
		return err
	})
	if err != nil {
		return 0, err
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	hung := 0
	s.swallow(member, direction, true)
	for range connects {
		err := s.box.Do(func() error {
			d := net.Dialer{Timeout: connectHangs}
			c, err := d.DialContext(ctx, "tcp", l.Addr().String())
			if err != nil {
				return err
			}
			return c.Close()
		})
		if err != nil {
			hung++
		}
	}
	s.swallow(member, direction, false)
	return float64(hung), s.well(ctx)
}

// watchCosts measures what asking costs a team of many members without traffic.
func (b *bench) watchCosts(ctx context.Context) {
	cpu := b.measure("watch-cpu",
		fmt.Sprintf("time that the process of an idle elb team of %d takes of one CPU: with link "+
			"watches, with link_watch=carrier, and the difference", costMembers), "%")
	arp := b.measure("watch-arp",
		fmt.Sprintf("ARP probes a second of the member that sends most, in %v, while all is well",
			arpTime), "frames/s")
	for _, path := range []string{relay, fast} {
		if err := b.watchCostsOf(ctx, path, cpu, arp); err != nil {
			for _, m := range []*measure{cpu, arp} {
				m.add(path).Missing = err.Error()
			}
			b.logf("watch-cpu: %s: not taken: %v", path, err)
		}
	}
}

func (b *bench) watchCostsOf(ctx context.Context, path string, cpu, arp *measure) error {
	s, err := b.silencer(ctx, costMembers, false, 0, path, "--mode", "elb")
	if err != nil {
		return err
	}
	defer b.close(s.rig)
	st, err := s.client.Status(ctx)
	if err == nil {
		err = pause(ctx, 5*time.Second) // announcements and the first asks are over
	}
	if err != nil {
		return err
	}
	if b.wants(cpu.Name) {
		auto, carrier, difference := cpu.add(path+" auto"), cpu.add(path+" carrier"), cpu.add(path+" difference")
		for i := range b.few(5) {
			var used [2]float64
			for n, watch := range []string{"auto", "carrier"} {
				if err := s.nicteam(ctx, "set", teamName, "link_watch="+watch); err != nil {
					return err
				}
				if used[n], err = s.cpuShare(ctx, st.PID, 4*b.turn); err != nil {
					return err
				}
			}
			auto.set(i, used[0])
			carrier.set(i, used[1])
			difference.set(i, used[0]-used[1])
		}
		if err := s.nicteam(ctx, "set", teamName, "link_watch=auto"); err != nil {
			return err
		}
	}
	if !b.wants(arp.Name) {
		return nil
	}
	if err := s.well(ctx); err != nil {
		return err
	}
	for _, load := range []string{"idle", "loaded"} {
		if load == "loaded" {
			if err := s.load(watchRate * costMembers); err != nil {
				return err
			}
		}
		f, err := s.arpRate(ctx)
		if err != nil {
			return err
		}
		arp.add(path+" "+load).set(0, f)
	}
	return nil
}

// cpuShare returns how much of a CPU the team's process takes, in percent.
func (s *silencer) cpuShare(ctx context.Context, pid int, d time.Duration) (float64, error) {
	if err := pause(ctx, time.Second); err != nil {
		return 0, err
	}
	was, err := cpuTime(pid)
	if err != nil {
		return 0, err
	}
	at := time.Now()
	if err := pause(ctx, d); err != nil {
		return 0, err
	}
	is, err := cpuTime(pid)
	return 100 * (is - was).Seconds() / time.Since(at).Seconds(), err
}

// arpRate counts the ARP probes that members send.
func (s *silencer) arpRate(ctx context.Context) (float64, error) {
	counts := make([]atomic.Int64, len(s.wires))
	for i, w := range s.wires {
		w.A.Filter(func(f []byte) int {
			var n frame.Neighbour
			if frame.ParseNeighbour(f, &n) && n.Op == frame.ARPRequest && n.From.IsUnspecified() {
				counts[i].Add(1)
			}
			return 1
		})
		defer w.A.Filter(nil)
	}
	at := time.Now()
	if err := pause(ctx, arpTime); err != nil {
		return 0, err
	}
	most := int64(0)
	for i := range counts {
		most = max(most, counts[i].Load())
	}
	return float64(most) / time.Since(at).Seconds(), nil
}

// falseDowns runs teams for a long time beside two busy loops, and counts members that went down or were suspect.
func (b *bench) falseDowns(ctx context.Context) {
	m := b.measure("watch-false-downs",
		fmt.Sprintf("members that went down in %v of an elb team of %d with %d frames/s "+
			"each way, beside two busy loops", b.soak, watchMembers, watchMembers*watchRate), "members")
	if b.soak == 0 {
		m.Absent = "takes long: -soak 10m"
		return
	}
	for _, path := range []string{relay, fast} {
		row := m.add(path)
		downs, suspects, err := b.falseDownsOf(ctx, path)
		if err != nil {
			row.Missing = err.Error()
			continue
		}
		row.set(0, float64(downs))
		m.Notes = append(m.Notes, fmt.Sprintf("%s: %d suspicions that lasted", path, suspects))
	}
}

func (b *bench) falseDownsOf(ctx context.Context, path string) (downs, suspects int, err error) {
	s, err := b.silencer(ctx, watchMembers, false, 0, path, "--mode", "elb")
	if err != nil {
		return 0, 0, err
	}
	defer b.close(s.rig)
	if err := s.load(watchMembers * watchRate); err != nil {
		return 0, 0, err
	}
	at := time.Now()
	var ended atomic.Bool
	var loops sync.WaitGroup
	for range 2 {
		loops.Go(func() {
			for !ended.Load() {
			}
		})
	}
	err = pause(ctx, b.soak)
	ended.Store(true)
	loops.Wait()
	if err != nil {
		return 0, 0, err
	}
	err = s.client.Events(ctx, false, func(e *api.Event) error {
		switch {
		case e.Time.Before(at):
		case e.Event == "member-down":
			downs++
			b.logf("watch-false-downs %s: %s: %s", path, e.Member, e.Reason)
		case e.Event == "member-suspect":
			suspects++
		}
		return nil
	})
	return downs, suspects, err
}
