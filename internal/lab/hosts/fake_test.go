// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A fakeHost is a machine and its network in memory, for synctest's clock.
type fakeHost struct {
	mu    sync.Mutex
	began time.Time
	boots int
	cable [nicCount]bool // out
	dark  []interval     // not reached
	// What it has.
	team, unit, process, dns bool
	since                    time.Time // of the team
	// Faults.
	noUnit    bool   // create does not enable the unit
	noRestart bool   // nobody starts a killed process again
	losesDNS  bool   // from create on
	noRenewal bool   // from create on: dark when the lease ends
	stray     bool   // delete leaves an address
	movesIPv6 bool   // create changes the IPv6 address
	failsTo   string // the command that contains it fails
	deaf      bool   // no session, no login
	keeps     bool   // a create that nobody confirms stays
	early     bool   // its unit is enabled before it is confirmed
}

type interval struct{ from, to time.Time }

func newFakeHost() *fakeHost { return &fakeHost{began: time.Now(), dns: true} }

func (f *fakeHost) goDark(d time.Duration) {
	f.dark = append(f.dark, interval{time.Now(), time.Now().Add(d)})
}

// reached reports whether the host was reached at a moment.
func (f *fakeHost) reached(at time.Time) bool {
	for _, d := range f.dark {
		if !at.Before(d.from) && at.Before(d.to) {
			return false
		}
	}
	return !f.team || !f.noRenewal || at.Sub(f.since) < leaseTime
}

func (f *fakeHost) Start(context.Context) error { f.boots++; return nil }
func (f *fakeHost) Stop()                       {}

func (f *fakeHost) Put(context.Context, string, []byte, uint32) error { return nil }

func (f *fakeHost) SetLink(_ context.Context, nic int, in bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cable[nic] = !in
	if !in && f.team {
		f.goDark(300 * time.Millisecond)
	}
	return nil
}

func (f *fakeHost) Cut(ctx context.Context) error { return f.Reboot(ctx) }

func (f *fakeHost) Reboot(context.Context) error {
	f.mu.Lock()
	f.goDark(40 * time.Second)
	f.team, f.process, f.boots = f.unit, f.unit, f.boots+1
	f.mu.Unlock()
	time.Sleep(40 * time.Second)
	return nil
}

// Run knows the commands of the scenarios.
func (f *fakeHost) Run(_ context.Context, command string, _ time.Duration) (string, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	say := func(ok bool) (string, int, error) {
		if ok {
			return "", 0, nil
		}
		return "", 1, nil
	}
	if f.failsTo != "" && strings.Contains(command, f.failsTo) {
		return "cannot: it is a test", 1, nil
	}
	switch {
	case command == "ip -json address":
		return f.addresses(), 0, nil
	case strings.Contains(command, "getent"):
		// A resolver asks again for some seconds.
		if now := time.Now(); f.dns && (f.reached(now) || f.reached(now.Add(5*time.Second))) {
			return outside4 + " STREAM", 0, nil
		}
		return "", 2, nil
	case strings.HasPrefix(command, "nicteam status "+team+" 2>&1"):
		if f.team && f.process {
			return team + "  elb  up  for 1s", 0, nil
		}
		return "error: no team " + team, 4, nil
	case strings.HasPrefix(command, "p=$("):
		f.goDark(time.Second)
		f.process = !f.noRestart
		return "", 0, nil
	case strings.HasPrefix(command, "systemctl is-enabled"), strings.HasPrefix(command, "systemctl is-active"):
		return say(f.unit)
	case strings.HasPrefix(command, "systemctl enable"), strings.HasPrefix(command, "systemctl restart"):
		f.unit, f.process = true, true
		return "", 0, nil
	case strings.HasPrefix(command, "systemctl stop"):
		f.team, f.process = false, false
		return "", 0, nil
	case strings.HasPrefix(command, "systemctl start"):
		f.startTeam()
		return "", 0, nil
	case strings.HasPrefix(command, "systemctl is-system-running"):
		return "running", 0, nil
	case strings.HasPrefix(command, "for u in nicteam@"):
		return "12300000\n12400000\n" + onlineFile + "\n", 0, nil
	case strings.HasPrefix(command, "nicteam delete"):
		f.team, f.process, f.unit = false, false, false
		return "", 0, nil
	case strings.HasPrefix(command, "nicteam version"):
		return "nicteam 1\n6.1\n", 0, nil
	case command == "sync", strings.HasPrefix(command, "nicteam "), strings.HasPrefix(command, "ip -br"):
		return "", 0, nil
	case command == describe:
		holder := "eth0"
		if f.team {
			holder = team
		}
		out := "addr " + holder + " inet " + lease(0) + "/24\n" +
			"route default via " + router4 + " dev eth0 expires 13sec\n"
		if f.stray && f.since != (time.Time{}) {
			out += "addr eth1 inet 10.77.0.99/24\n"
		}
		return out, 0, nil
	}
	return "", 127, fmt.Errorf("the fake does not know %q", command)
}

func (f *fakeHost) startTeam() {
	f.team, f.process, f.since = true, true, time.Now()
}

func (f *fakeHost) addresses() string {
	holder := "eth0"
	if f.team {
		holder = team
	}
	left := leaseTime - time.Since(f.began)%renewalTime
	if f.team && f.noRenewal {
		left = max(0, leaseTime-time.Since(f.since))
	}
	ipv6 := "fd77::10"
	if f.movesIPv6 && f.team {
		ipv6 = "fd77::11"
	}
	return fmt.Sprintf(`[{"ifname":%q,"addr_info":[{"family":"inet","local":%q,"scope":"global","valid_life_time":%d},
		{"family":"inet6","local":%q,"scope":"global","valid_life_time":100}]}]`, holder, lease(0),
		int(left.Seconds()), ipv6)
}

func (f *fakeHost) Login(ctx context.Context, _, command string, _ time.Duration) (string, int, error) {
	// Not at the same moment as who asks every second.
	time.Sleep(20*time.Second - time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf {
		return "", 255, nil
	}
	if !strings.HasPrefix(command, "nicteam create") {
		return "", 127, errors.New(command)
	}
	f.startTeam()
	if _, d, ok := strings.Cut(command, " --confirm "); ok {
		return f.awaitConfirmation(ctx, d)
	}
	f.unit, f.dns = !f.noUnit, !f.losesDNS
	return "", 0, nil
}

// awaitConfirmation reverts a create, unless the session ends before.
func (f *fakeHost) awaitConfirmation(ctx context.Context, text string) (string, int, error) {
	f.unit = f.early
	d, err := time.ParseDuration(text)
	if err != nil {
		return "error: --confirm " + text, 2, nil
	}
	f.mu.Unlock()
	err = pause(ctx, d)
	f.mu.Lock()
	switch {
	case err != nil:
		return "", -1, err
	case f.keeps:
		return "team0 is up", 0, nil
	}
	f.team, f.process, f.unit, f.since = false, false, false, time.Time{}
	return "", reverted, nil
}

func (f *fakeHost) answers(from time.Time, interval time.Duration) (answers []time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := from; !t.After(time.Now()); t = t.Add(interval) {
		if f.reached(t) {
			answers = append(answers, t)
		}
	}
	return answers
}

func (f *fakeHost) Ping(address string) (func() []time.Time, error) {
	from := time.Now()
	return func() (answers []time.Time) {
		answers = f.answers(from, pingInterval)
		if address == "fd77::10" && f.movesIPv6 && f.team {
			return slices.DeleteFunc(answers, f.since.Before)
		}
		return answers
	}, nil
}

func (f *fakeHost) Session(string) (func() ([]time.Time, bool), error) {
	if f.deaf {
		return nil, errors.New("no session")
	}
	from := time.Now()
	return func() ([]time.Time, bool) { return f.answers(from, sessionInterval), true }, nil
}

func (f *fakeHost) Acknowledged(string) (times []time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for t := f.began; !t.After(time.Now()); t = t.Add(renewalTime) {
		if !f.noRenewal || f.since.IsZero() || t.Before(f.since) {
			times = append(times, t)
		}
	}
	return times
}
