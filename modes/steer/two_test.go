// SPDX-License-Identifier: MIT

package steer

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
)

// station is a team with the little of a kernel that ARP and ND need: it asks for whom it does not know, answers
// who asks for it, and keeps what it is told.
type station struct {
	*rigging
	ip4, ip6 netip.Addr
	adapter  frame.MAC
	cache    map[netip.Addr]frame.MAC
}

// lan is a switch with stations on it; what is sent arrives at once.
type lan struct {
	t        testing.TB
	now      time.Time
	stations []*station
	frames   int
}

func newLAN(t testing.TB, stations, members int) *lan {
	l := &lan{t: t, now: t0}
	for i := range stations {
		r := rig(t, members)
		r.st.Adapter = adapterMAC + frame.MAC(i)
		r.st = change(r.st, func(m []Member) {
			for k := range m {
				m[k].MAC += frame.MAC(i+1) << 16
			}
		})
		r.handle(r.st)
		l.stations = append(l.stations, &station{rigging: r, adapter: r.st.Adapter, cache: map[netip.Addr]frame.MAC{},
			ip4: peer4(i), ip6: peer6(i)})
	}
	return l
}

// put hands frames of a station to all others, or to the one that has the MAC.
func (l *lan) put(from *station, sends []spread.Send) {
	for _, s := range sends {
		if l.frames++; l.frames > 100_000 {
			l.t.Fatal("the LAN never falls silent")
		}
		src := frame.MACAt(s.Frame, 6)
		if src != from.st.Members[s.Member].MAC {
			l.t.Fatalf("member %d of %v sends from %v", s.Member, from.ip4, src)
		}
		for _, to := range l.stations {
			if to == from {
				continue
			}
			dst := frame.MACAt(s.Frame, 0)
			at := slices.IndexFunc(to.st.Members, func(m Member) bool { return m.MAC == dst })
			if at >= 0 {
				to.now = l.now
				l.put(to, to.handle(Received{Member: at, Frame: bytes.Clone(s.Frame)}))
			}
			if at >= 0 || dst.Multicast() {
				l.take(to, s.Frame)
			}
		}
	}
}

// send has a station's kernel send a frame.
func (l *lan) send(s *station, b []byte) {
	s.now = l.now
	l.put(s, s.sent(b))
}

// take is what a kernel does with what comes in.
func (l *lan) take(s *station, b []byte) {
	var n frame.Neighbour
	if !frame.ParseNeighbour(b, &n) {
		l.t.Fatalf("a frame that nobody understands: %x", b)
	}
	know := func(a netip.Addr, m frame.MAC, create bool) {
		if _, ok := s.cache[a]; m != 0 && a.IsValid() && !a.IsUnspecified() && (ok || create) {
			s.cache[a] = m
		}
	}
	switch n.Op {
	case frame.ARPRequest, frame.ARPReply:
		know(n.From, n.Sender, n.To == s.ip4)
		if n.Op == frame.ARPRequest && n.To == s.ip4 {
			l.send(s, frametest.ARP(s.adapter, frametest.Reply, n.Sender, s.ip4, n.From))
		}
	case frame.NeighbourSolicitation:
		if n.About == s.ip6 {
			know(n.From, n.Sender, true)
			option := s.adapter
			if !n.Dst.Multicast() {
				option = 0
			}
			l.send(s, frametest.ND(s.adapter, n.Src, frametest.Advertisement, s.ip6, n.From, s.ip6, 0x60, option))
		}
	case frame.NeighbourAdvertisement:
		know(n.About, n.Target, n.Solicited)
	}
}

// ask has a kernel look for another host.
func (l *lan) ask(s, for_ *station) {
	l.send(s, frametest.ARP(s.adapter, frametest.Request, frame.Broadcast, s.ip4, for_.ip4))
	l.send(s, frametest.ND(s.adapter, group6, frametest.Solicitation, s.ip6, solicited, for_.ip6, 0, s.adapter))
}

// probe has kernels look whether those whom they know are still there.
func (l *lan) probe(s *station) {
	for _, o := range l.stations {
		if mac := s.cache[o.ip4]; mac != 0 {
			l.send(s, frametest.ARP(s.adapter, frametest.Request, mac, s.ip4, o.ip4))
		}
		if mac := s.cache[o.ip6]; mac != 0 {
			l.send(s, frametest.ND(s.adapter, mac, frametest.Solicitation, s.ip6, o.ip6, o.ip6, 0, s.adapter))
		}
	}
}

// wait lets time go by.
func (l *lan) wait(d time.Duration) {
	for end := l.now.Add(d); ; {
		next := end
		var who *station
		for _, s := range l.stations {
			if at := s.e.Deadline(); !at.IsZero() && at.Before(next) {
				next, who = at, s
			}
		}
		if who == nil {
			l.now = end
			return
		}
		if next.After(l.now) {
			l.now = next
		}
		who.now = l.now
		l.put(who, who.handle(Tick{}))
	}
}

// agree checks that everybody's cache has what steering means it to have.
func (l *lan) agree(t *testing.T) {
	t.Helper()
	var want, got []string
	for _, s := range l.stations {
		for _, p := range Peers(l.now, s.e) {
			for _, o := range l.stations {
				if o.ip4 == p.Address || o.ip6 == p.Address {
					want = append(want, fmt.Sprint(o.ip4, " has ", p.Ours, " at ", s.st.Members[p.Member].MAC))
					got = append(got, fmt.Sprint(o.ip4, " has ", p.Ours, " at ", o.cache[p.Ours]))
				}
			}
		}
	}
	if len(want) == 0 {
		t.Fatal("nobody steers anybody")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Teams that steer each other come to an end of it, whatever happens, and everybody knows what the other wants.
func TestTeamsFallSilent(t *testing.T) {
	l := newLAN(t, 4, 3)
	silent := func(what string) {
		t.Helper()
		l.wait(5 * time.Second)
		was := l.frames
		l.wait(10 * time.Minute)
		if l.frames != was {
			t.Errorf("%s: %d frames after 5 s", what, l.frames-was)
		}
	}
	for i, s := range l.stations {
		for k, o := range l.stations {
			if i != k {
				l.ask(s, o)
			}
		}
	}
	silent("all ask")
	l = newLAN(t, 4, 3)
	l.ask(l.stations[0], l.stations[1])
	l.ask(l.stations[1], l.stations[0])
	l.ask(l.stations[2], l.stations[0])
	l.wait(5 * time.Second)
	l.agree(t)

	l = newLAN(t, 4, 3)
	for i, s := range l.stations {
		for k, o := range l.stations {
			if i != k {
				l.ask(s, o)
			}
		}
	}
	l.wait(5 * time.Second)
	l.agree(t)
	for _, s := range l.stations {
		l.probe(s)
	}
	l.wait(5 * time.Second)
	l.agree(t)
	s := l.stations[1]
	s.now = l.now
	l.put(s, s.change(func(m []Member) { m[1].Usable = false }))
	l.wait(5 * time.Second)
	l.agree(t)
	s.now = l.now
	l.put(s, s.change(func(m []Member) { m[1].Usable = true }))
	l.wait(5 * time.Second)
	l.agree(t)
	l.send(s, frametest.ARP(s.adapter, frametest.Request, frame.Broadcast, s.ip4, s.ip4))
	silent("after all that")
}
