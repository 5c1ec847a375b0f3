// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"nicteam/internal/lab/hosts/agent"
)

// Addresses are what the machine is reached by.
type addresses struct {
	IPv4, IPv6 string
}

// An observation is what was seen of the machine during a scenario.
type observation struct {
	Took time.Duration
	Ping map[string]reach // by address
	// Names that were looked up in the machine, those that did not resolve, and the longest time without one that did.
	Lookups, Unresolved int
	LookupGap           time.Duration
	// Busy are the lookups that the machine was too busy for: see busy.
	Busy int
	// SessionGap is the longest time without an echo of the login session, if there is to be one; NoLogin: it did not
	// begin; SessionLost: it ended.
	Session     bool
	NoLogin     bool
	SessionGap  time.Duration
	SessionLost bool
	// Renewals are the server's acknowledgements of the lease.
	Renewals int
	// Lifetime is the least remaining lifetime of the IPv4 address, -1 if it was never limited. Absent counts samples
	// without it.
	Lifetime time.Duration
	Absent   int
	Holder   string // the link that had the address last
}

// reach says how an address was reached.
type reach struct {
	Answers int
	Gap     time.Duration // the longest time without an answer
	GapAt   time.Duration // when it began
	AtEnd   bool          // there was an answer at the end
}

// A watch observes a machine until stop.
type watch struct {
	b       *bench
	at      addresses
	began   time.Time
	cancel  context.CancelFunc
	done    sync.WaitGroup
	pings   map[string]func() []time.Time
	session func() ([]time.Time, bool)

	mu       sync.Mutex
	o        observation
	resolved []time.Time
}

// lookupInterval and sampleInterval are the times between two looks into the machine.
const (
	lookupInterval = time.Second
	sampleInterval = 4 * time.Second
	lookLimit      = 30 * time.Second
)

// watch begins to observe. withSession opens a login session, which the scenario must not end itself.
func (b *bench) watch(ctx context.Context, at addresses, withSession bool) (*watch, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{b: b, at: at, cancel: cancel, pings: map[string]func() []time.Time{}, o: observation{Lifetime: -1}}
	b.network.Acknowledged(at.IPv4)
	w.began = time.Now()
	for _, a := range []string{at.IPv4, at.IPv6} {
		if a == "" {
			continue
		}
		stop, err := b.network.Ping(a)
		if err != nil {
			w.stop()
			return nil, err
		}
		w.pings[a] = stop
	}
	w.every(ctx, lookupInterval, w.lookUp)
	w.every(ctx, sampleInterval, w.sample)
	if withSession {
		var err error
		if w.session, err = b.network.Session(at.IPv4); err != nil {
			w.o.Session, w.o.NoLogin = true, true
		}
	}
	return w, nil
}

func (w *watch) every(ctx context.Context, interval time.Duration, f func(context.Context)) {
	w.done.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			f(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// lookUp resolves a name that no cache has.
func (w *watch) lookUp(ctx context.Context) {
	w.mu.Lock()
	name := fmt.Sprintf("n%d-%d.%s", time.Now().UnixMilli(), w.o.Lookups, probeDomain)
	w.mu.Unlock()
	out, _, err := w.b.machine.Run(ctx, lookUpName+name, lookLimit)
	if err != nil {
		return // the machine is off, or says nothing
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.o.Lookups++
	switch {
	case strings.Contains(out, outside4):
	case busy(out):
		w.o.Busy++
	default:
		w.o.Unresolved++
		return
	}
	w.resolved = append(w.resolved, time.Now())
}

// lookUpName looks a name up that follows, and times the same program without the network.
const lookUpName = `now() { cut -d" " -f1 /proc/uptime; }; a=$(now); getent hosts localhost >/dev/null; ` +
	`echo local $a $(now); timeout 5 getent ahostsv4 `

// busyAfter is the time of a lookup without the network that no idle machine takes, emulated or not.
const busyAfter = 1.5

// busy reports whether a machine was too busy to look a name up: that in its own files took too long. A failure then
// says nothing about the network.
func busy(out string) bool {
	var from, to float64
	n, _ := fmt.Sscanf(out, "local %g %g", &from, &to)
	return n == 2 && to-from > busyAfter
}

// sample reads where the address is and how long it is valid.
func (w *watch) sample(ctx context.Context) {
	links, err := w.b.links(ctx)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	holder, valid := findAddress(links, w.at.IPv4)
	w.o.Holder = holder
	switch {
	case holder == "":
		w.o.Absent++
	case valid != forever:
		left := time.Duration(valid) * time.Second
		if w.o.Lifetime < 0 || left < w.o.Lifetime {
			w.o.Lifetime = left
		}
	}
}

// stop ends the observation.
func (w *watch) stop() observation {
	now := time.Now()
	out := map[string]reach{}
	for a, stop := range w.pings {
		out[a] = reachOf(stop(), w.began, now, pingInterval)
	}
	w.cancel()
	w.done.Wait()
	o := w.o
	o.Took, o.Ping = now.Sub(w.began), out
	o.LookupGap = reachOf(w.resolved, w.began, now, lookupInterval).Gap
	if w.session != nil {
		answers, alive := w.session()
		o.Session, o.SessionLost = true, !alive
		if len(answers) > 0 {
			o.SessionGap = reachOf(answers, answers[0], now, sessionInterval).Gap
		}
	}
	for _, t := range w.b.network.Acknowledged(w.at.IPv4) {
		// The log's times are whole seconds.
		if !t.Before(w.began.Truncate(time.Second)) {
			o.Renewals++
		}
	}
	return o
}

// endTolerance is how old the last answer may be.
const endTolerance = 2500 * time.Millisecond

// reachOf computes gaps between answers to what is asked every interval.
func reachOf(answers []time.Time, from, to time.Time, interval time.Duration) (r reach) {
	last := from
	for _, t := range answers {
		if t.Before(from) {
			continue
		}
		if t.After(to) {
			break
		}
		r.Answers++
		r.noteGap(from, last, t)
		last = t
	}
	r.noteGap(from, last, to)
	r.Gap = max(0, r.Gap-interval)
	r.AtEnd = r.Answers > 0 && to.Sub(last) <= endTolerance
	return r
}

func (r *reach) noteGap(began, from, to time.Time) {
	if d := to.Sub(from); d > r.Gap {
		r.Gap, r.GapAt = d, from.Sub(began)
	}
}

// A link is what `ip -json address` says of one, as far as it matters here.
type link struct {
	Name      string   `json:"ifname"`
	Flags     []string `json:"flags"`
	Addresses []struct {
		Family string `json:"family"`
		Local  string `json:"local"`
		Prefix int    `json:"prefixlen"`
		Scope  string `json:"scope"`
		Valid  uint32 `json:"valid_life_time"`
	} `json:"addr_info"`
}

// forever is the lifetime of an address without one.
const forever = 1<<32 - 1

// links reads the machine's links and addresses.
func (b *bench) links(ctx context.Context) ([]link, error) {
	out, code, err := b.machine.Run(ctx, "ip -json address", lookLimit)
	if err != nil {
		return nil, err
	}
	if code != 0 {
		return nil, fmt.Errorf("ip address: exit %d: %s", code, out)
	}
	var all []link
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return all, nil
}

func findAddress(links []link, address string) (holder string, valid uint32) {
	for _, l := range links {
		for _, a := range l.Addresses {
			// A copy on a second link is a stray one, and found elsewhere.
			if a.Local == address && (holder == "" || strings.HasPrefix(holder, "eth")) {
				holder, valid = l.Name, a.Valid
			}
		}
	}
	return holder, valid
}

// findIPv6 returns the machine's global IPv6 address, that of the adapter if it has one.
func findIPv6(links []link) (address string) {
	for _, l := range links {
		for _, a := range l.Addresses {
			if a.Family == "inet6" && a.Scope == "global" && strings.HasPrefix(a.Local, "fd77:") &&
				(address == "" || !strings.HasPrefix(l.Name, "eth")) {
				address = a.Local
			}
		}
	}
	return address
}

// awaitAddresses waits until the machine has its IPv4 and IPv6 addresses and resolves names.
func (b *bench) awaitAddresses(ctx context.Context, limit time.Duration) (addresses, error) {
	at := addresses{IPv4: lease(0)}
	var last string
	for end := time.Now().Add(limit); ; {
		links, err := b.links(ctx)
		if errors.Is(err, agent.ErrGone) {
			return at, err
		}
		holder, _ := findAddress(links, at.IPv4)
		at.IPv6 = findIPv6(links)
		// A machine that boots may be too busy to answer in time.
		out, _, _ := b.machine.Run(ctx, "timeout 5 getent ahostsv4 "+fmt.Sprintf("a%d.", time.Now().UnixMilli())+
			probeDomain, lookLimit)
		dns := strings.Contains(out, outside4)
		if holder != "" && at.IPv6 != "" && dns {
			return at, nil
		}
		last = fmt.Sprintf("IPv4 on %q, IPv6 %q, DNS %v", holder, at.IPv6, dns)
		if time.Now().After(end) {
			return at, fmt.Errorf("not settled after %v: %s", limit, last)
		}
		select {
		case <-ctx.Done():
			return at, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
