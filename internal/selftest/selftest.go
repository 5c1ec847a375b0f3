// SPDX-License-Identifier: MIT

package selftest

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nicteam/internal/host"
	"nicteam/internal/ssh"
)

// Bounds of a test.
const (
	Within     = 5 * time.Second        // from Through until all must have answered
	settleTime = 300 * time.Millisecond // from Begin until who has not answered is not required
	otherHosts = 10 * time.Millisecond  // … and from the answer of one host, until the others are not
	firstLook  = time.Millisecond       // an answer comes within a millisecond or two …
	lastLook   = 20 * time.Millisecond  // … or it does not matter
)

// Options of a Test.
type Options struct {
	Host    *host.Host
	Session ssh.Connection // the caller's; zero: none
	Log     *slog.Logger

	// Moves: the addresses of the links go where the change puts them. A neighbour that can then be asked nowhere is a
	// failure. Otherwise the caller wants other addresses, and such a neighbour is not required.
	Moves bool

	Within time.Duration // 0: Within
}

// Test is one self-test: Begin, Settle, the change, Through, Check.
type Test struct {
	o       Options
	began   time.Time
	targets []*target

	session bool // the session goes by the links of the change, and went on
	nextHop netip.Addr
	ref     ssh.TCPInfo // since Through

	links []int
	where string
	until time.Time
}

// Begin asks by the links of a change. It does not wait for answers.
func Begin(o Options, links ...int) (*Test, error) {
	if o.Within == 0 {
		o.Within = Within
	}
	t := &Test{o: o, began: time.Now()}
	list, err := o.Host.ReachTargets(links...)
	if err != nil {
		return nil, fmt.Errorf("self-test: %w", err)
	}
	if hop, ok := t.findSession(links); ok && !slices.ContainsFunc(list, func(r host.Reach) bool {
		return r.IP == hop.IP && r.Link == hop.Link
	}) {
		list = append(list, hop)
	}
	for _, r := range list {
		asked, err := o.Host.Ask(r, false)
		if err != nil {
			o.Log.Debug("self-test: neighbour not asked", "neighbour", r.IP, "err", err)
		}
		if asked && err == nil {
			t.targets = append(t.targets, &target{Reach: r})
		}
	}
	return t, nil
}

// findSession returns the next hop of the session if that goes by the links.
func (t *Test) findSession(links []int) (hop host.Reach, ok bool) {
	if t.o.Session.IsZero() {
		return hop, false
	}
	info, there, err := t.o.Session.TCPInfo()
	stuck := info.Retransmits > 0 || info.Unacked == 0 && info.NotSent > 0
	if err != nil || !there || stuck {
		t.o.Log.Debug("self-test: no SSH connection to judge", "session", t.o.Session, "there", there,
			"stuck", stuck, "err", err)
		return hop, false
	}
	link, ip, err := t.o.Session.NextHop()
	if err != nil {
		return hop, false
	}
	hop, ok, err = t.o.Host.ReachBy(link, ip, links...)
	if err != nil || !ok {
		return hop, false
	}
	t.session, t.nextHop = true, ip
	return hop, true
}

// Settle waits until who can answer has answered. The change comes next. Without a Test it and the other methods do
// nothing.
func (t *Test) Settle(ctx context.Context) {
	if t == nil {
		return
	}
	began := time.Now()
	var first time.Time // when a host had answered
	t.poll(ctx, t.began.Add(settleTime), func() bool {
		all, required, gateways := true, true, false
		for _, g := range t.targets {
			g.look(t.o.Host)
			all = all && g.answered
			required = required && (g.answered || !t.isRequired(g))
			gateways = gateways || g.Gateway && g.answered
			if g.answered && first.IsZero() {
				first = time.Now()
			}
		}
		// Hosts that are asked besides may be gone.
		return all || required && (gateways || !first.IsZero() && time.Since(first) > otherHosts)
	})
	for _, g := range t.targets {
		if !g.answered {
			_ = t.o.Host.StopAsking(g.Reach)
			t.o.Log.Debug("self-test: does not answer before the change, and is not required after it",
				"neighbour", g.IP, "link", g.Name)
		}
	}
	t.o.Log.Debug("self-test began", "took", time.Since(began), "asked", len(t.targets))
	gateways := slices.ContainsFunc(t.targets, func(g *target) bool { return g.Gateway && g.answered })
	var answered []*target
	for _, g := range t.targets {
		same := func(o *target) bool { return o.IP == g.IP && o.VLAN == g.VLAN }
		if g.answered && !slices.ContainsFunc(answered, same) && (t.isRequired(g) || !gateways) {
			answered = append(answered, g)
		}
	}
	t.targets = answered
}

// isRequired reports whether a neighbour itself must answer. Of the others one must, where no gateway does.
func (t *Test) isRequired(g *target) bool { return g.Gateway || t.session && g.IP == t.nextHop }

// Empty reports whether there is nothing to test.
func (t *Test) Empty() bool { return t == nil || len(t.targets) == 0 && !t.session }

// Through says that the addresses are on these links from now on. where is their name in texts.
func (t *Test) Through(where string, links ...int) {
	if t == nil {
		return
	}
	t.where, t.links, t.until = where, links, time.Now().Add(t.o.Within)
	if t.session {
		t.ref, t.session, _ = t.o.Session.TCPInfo()
	}
}

// Use goes on with another Host of this network namespace, as a delete closes its own.
func (t *Test) Use(h *host.Host) { t.o.Host = h }

// AtLeast gives Check so much time from now on. What the change has done since Through may have taken all of it.
func (t *Test) AtLeast(d time.Duration) {
	if t == nil {
		return
	}
	if until := time.Now().Add(d); until.After(t.until) {
		t.until = until
	}
}

// poll calls done, first often, then less often, until it returns true, the time is over, or ctx ends.
func (t *Test) poll(ctx context.Context, until time.Time, done func() bool) bool {
	for look := firstLook; ; look = min(2*look, lastLook) {
		if done() {
			return true
		}
		left := time.Until(until)
		if left <= 0 {
			return false
		}
		timer := time.NewTimer(min(look, left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// names lists neighbours for texts.
func names(list []*target) string {
	var texts []string
	for _, g := range list {
		if text := g.String(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, ", ")
}
