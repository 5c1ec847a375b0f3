// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A scenario does something to a machine while it is watched.
type scenario struct {
	Name  string
	About string
	// Team: the machine has a team before.
	Team bool
	// Session: a login session is open all the time. Off: the machine goes down.
	Session, Off bool
	Do           func(ctx context.Context, l *life) error
}

// team is the name of the team in every scenario.
const team = "team0"

// Times of scenarios.
const (
	// createLimit and commandLimit are those of commands on an emulated processor that others use as well.
	createLimit  = 4 * time.Minute
	commandLimit = 2 * time.Minute
	settleLimit  = 3 * time.Minute
	// quiet is the time after a change in which its consequences show.
	quiet = 15 * time.Second
	// pulled is how long a cable is out.
	pulled = 15 * time.Second
	// beyondLease is longer than a lease: who does not renew has lost the address at its end.
	beyondLease = leaseTime + 15*time.Second
)

// scenarios in the order in which they run; each goes on from where the one before left the machine.
var scenarios = []scenario{
	{Name: "before", About: "no team, longer than T1", Session: true,
		Do: func(ctx context.Context, l *life) error { return l.wait(ctx, 3*renewalTime) }},
	{Name: "confirm", About: "`nicteam create --confirm` in a login session that nobody confirms", Session: true,
		Do: func(ctx context.Context, l *life) error { return l.createUnconfirmed(ctx) }},
	{Name: "powercut", About: "the power is cut while a create waits for confirmation", Off: true,
		Do: func(ctx context.Context, l *life) error { return l.cutPower(ctx) }},
	{Name: "create", About: "`nicteam create` in a login session, which then ends", Session: true,
		Do: func(ctx context.Context, l *life) error { return l.create(ctx) }},
	{Name: "lease", About: "longer than a lease", Team: true, Session: true,
		Do: func(ctx context.Context, l *life) error { return l.wait(ctx, beyondLease) }},
	{Name: "cable", About: "each cable out and in", Team: true, Session: true,
		Do: func(ctx context.Context, l *life) error { return l.pullCables(ctx) }},
	{Name: "kill", About: "kill -9 of the team's process", Team: true, Session: true,
		Do: func(ctx context.Context, l *life) error { return l.kill(ctx) }},
	{Name: "restart", About: "`nicteam restart`", Team: true, Session: true,
		Do: func(ctx context.Context, l *life) error { return l.restart(ctx) }},
	{Name: "reboot", About: "an orderly reboot, and longer than a lease", Team: true, Off: true,
		Do: func(ctx context.Context, l *life) error { return l.reboot(ctx, beyondLease) }},
	{Name: "stop", About: "`systemctl stop` of the team's unit, and start", Team: true, Session: true,
		Do: func(ctx context.Context, l *life) error { return l.stopAndStart(ctx) }},
	{Name: "delete", About: "`nicteam delete`, and longer than a lease", Team: true, Session: true,
		Do: func(ctx context.Context, l *life) error { return l.delete(ctx) }},
	{Name: "after", About: "reboot without the team", Off: true,
		Do: func(ctx context.Context, l *life) error { return l.after(ctx) }},
}

// needed are the scenarios without which the others mean nothing.
var needed = []string{"before", "create"}

// chooseScenarios returns the named ones, and those that they need.
func chooseScenarios(names []string) ([]scenario, error) {
	if len(names) == 0 {
		return scenarios, nil
	}
	var all []string
	for _, s := range scenarios {
		all = append(all, s.Name)
	}
	for _, n := range names {
		if !slices.Contains(all, n) {
			return nil, fmt.Errorf("scenario %q: want one of %s", n, strings.Join(all, ", "))
		}
	}
	var chosen []scenario
	for _, s := range scenarios {
		if slices.Contains(names, s.Name) || slices.Contains(needed, s.Name) {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}

// A life is one machine on its way through the scenarios.
type life struct {
	*bench
	at      addresses
	initial state // before the team
	notes   []string
	watch   *watch
	pause   func(context.Context, time.Duration) error // tests shorten it
}

// note records what the table is to say besides the figures.
func (l *life) note(format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

func (l *life) wait(ctx context.Context, d time.Duration) error { return l.pause(ctx, d) }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// command runs a command by the agent and wants it to succeed.
func (l *life) command(ctx context.Context, command string, limit time.Duration) error {
	out, code, err := l.machine.Run(ctx, command, limit)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit %d", code)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, lastLines(out, 6))
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (l *life) create(ctx context.Context) error {
	before, err := l.state(ctx)
	if err != nil {
		return err
	}
	l.initial = before
	began := time.Now()
	out, code, err := l.network.Login(ctx, l.at.IPv4, "nicteam create "+team+" eth0 eth1 -y", createLimit)
	if err != nil || code != 0 {
		// An answer that does not arrive is the team's fault as well, but create may have done its part.
		if err := l.awaitTeam(ctx, commandLimit); err != nil {
			return fmt.Errorf("create: %w; %s", err, lastLines(out, 8))
		}
		l.note("create's session ended with it (exit %d, %v)", code, err)
	}
	l.note("create took %.0f s", time.Since(began).Seconds())
	if err := l.awaitTeam(ctx, commandLimit); err != nil {
		return err
	}
	if enabled, err := l.enabled(ctx); err != nil {
		return err
	} else if !enabled {
		l.note("create did not enable the unit")
	}
	return l.wait(ctx, quiet)
}

// awaitTeam waits until the team says that it is up.
func (l *life) awaitTeam(ctx context.Context, limit time.Duration) error {
	var last string
	for end := time.Now().Add(limit); ; {
		out, _, err := l.machine.Run(ctx, "nicteam status "+team+" 2>&1 | head -3", commandLimit)
		if err != nil {
			return err
		}
		if f := strings.Fields(out); len(f) > 2 && f[0] == team && f[2] == "up" {
			return nil
		}
		last = strings.TrimSpace(out)
		if time.Now().After(end) {
			return fmt.Errorf("the team is not up after %v: %s", limit, last)
		}
		if err := l.wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (l *life) enabled(ctx context.Context) (bool, error) {
	_, code, err := l.machine.Run(ctx, "systemctl is-enabled --quiet nicteam@"+team, commandLimit)
	return code == 0, err
}

func (l *life) active(ctx context.Context) (bool, error) {
	_, code, err := l.machine.Run(ctx, "systemctl is-active --quiet nicteam@"+team, commandLimit)
	return code == 0, err
}

func (l *life) pullCables(ctx context.Context) error {
	for nic := range nicCount {
		for _, in := range []bool{false, true} {
			if err := l.machine.SetLink(ctx, nic, in); err != nil {
				return err
			}
			if err := l.wait(ctx, pulled); err != nil {
				return err
			}
		}
	}
	return nil
}

// teamPID prints the process of the team.
const teamPID = "nicteam status " + team + " --json | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p' | head -1"

func (l *life) kill(ctx context.Context) error {
	if err := l.command(ctx, "p=$("+teamPID+") && [ -n \"$p\" ] && kill -KILL $p", commandLimit); err != nil {
		return err
	}
	if err := l.wait(ctx, quiet); err != nil {
		return err
	}
	if err := l.awaitTeam(ctx, time.Minute); err != nil {
		l.note("not back by itself: %v", err)
		return l.revive(ctx)
	}
	return nil
}

// revive brings a team back whose process is gone, so that later scenarios have one.
func (l *life) revive(ctx context.Context) error {
	if err := l.command(ctx, "systemctl restart nicteam@"+team, commandLimit); err != nil {
		return err
	}
	return l.awaitTeam(ctx, commandLimit)
}

func (l *life) restart(ctx context.Context) error {
	command := "nicteam restart " + team
	if _, code, err := l.machine.Run(ctx, "nicteam help | grep -q '^  restart '", commandLimit); err != nil {
		return err
	} else if code != 0 {
		active, err := l.active(ctx)
		if err != nil {
			return err
		}
		if !active {
			l.note("no unit and no `nicteam restart`: nothing restarted")
			return nil
		}
		command = "systemctl restart nicteam@" + team
		l.note("by systemctl restart")
	}
	if err := l.command(ctx, command, commandLimit); err != nil {
		l.note("%v", err)
	}
	if err := l.wait(ctx, quiet); err != nil {
		return err
	}
	return l.awaitTeam(ctx, commandLimit)
}

func (l *life) reboot(ctx context.Context, after time.Duration) error {
	enabled, err := l.enabled(ctx)
	if err != nil {
		return err
	}
	if !enabled {
		l.note("unit enabled by hand")
		if err := l.command(ctx, "systemctl enable nicteam@"+team, commandLimit); err != nil {
			return err
		}
	}
	if err := l.boot(ctx); err != nil {
		return err
	}
	if err := l.awaitTeam(ctx, settleLimit); err != nil {
		l.note("no team after boot: %v", err)
	}
	l.bootTimes(ctx)
	return l.again(ctx, after)
}

// boot reboots and waits until the machine has done its part.
func (l *life) boot(ctx context.Context) error {
	if err := l.machine.Reboot(ctx); err != nil {
		return err
	}
	l.booted(ctx)
	return nil
}

// booted waits until a boot has ended, and notes what went wrong in it.
func (l *life) booted(ctx context.Context) {
	// Exit 1 says degraded: a unit failed.
	out, code, err := l.machine.Run(ctx, "systemctl is-system-running --wait; systemctl --failed --no-legend --plain",
		settleLimit)
	if err != nil {
		l.note("boot does not end: %v", err)
	} else if code != 0 || !strings.HasPrefix(out, "running") {
		l.note("after boot: %s", strings.Join(strings.Fields(out), " "))
	}
}

// bootTimes notes when the network was said to be there, and when the team was.
func (l *life) bootTimes(ctx context.Context) {
	out, _, err := l.machine.Run(ctx, "for u in nicteam@"+team+".service network-online.target; do "+
		"systemctl show -P ActiveEnterTimestampMonotonic $u; done; ls "+onlineFile, commandLimit)
	if f := strings.Fields(out); err == nil && len(f) >= 2 {
		l.note("team ready %s, network-online %s", sinceBoot(f[0]), sinceBoot(f[1]))
		if len(f) == 2 {
			l.note("**the network was not there when network-online.target was reached**")
		}
	}
}

// sinceBoot formats a monotonic time of systemd's.
func sinceBoot(us string) string {
	d, err := time.ParseDuration(us + "us")
	if err != nil || d == 0 {
		return "never"
	}
	return fmt.Sprintf("at %.1f s", d.Seconds())
}

// again watches anew after a boot: pings and lookups before it mean nothing.
func (l *life) again(ctx context.Context, d time.Duration) error {
	at, err := l.awaitAddresses(ctx, settleLimit)
	if err != nil {
		l.note("%v", err)
	} else if at.IPv6 != l.at.IPv6 {
		l.note("IPv6 address is another one")
	}
	if at.IPv6 == "" {
		at.IPv6 = l.at.IPv6
	}
	l.at = at
	l.watch.stop()
	if l.watch, err = l.bench.watch(ctx, at, false); err != nil {
		return err
	}
	return l.wait(ctx, d)
}

func (l *life) stopAndStart(ctx context.Context) error {
	active, err := l.active(ctx)
	if err != nil {
		return err
	}
	if !active {
		l.note("the unit is not active")
		return nil
	}
	if err := l.command(ctx, "systemctl stop nicteam@"+team, commandLimit); err != nil {
		return err
	}
	if err := l.wait(ctx, quiet); err != nil {
		return err
	}
	// It keeps its configuration.
	if err := l.compare(ctx, "stopped", "file /etc/nicteam/"); err != nil {
		return err
	}
	if err := l.command(ctx, "systemctl start nicteam@"+team, createLimit); err != nil {
		return err
	}
	if err := l.awaitTeam(ctx, commandLimit); err != nil {
		return err
	}
	return l.wait(ctx, quiet)
}

func (l *life) delete(ctx context.Context) error {
	if err := l.command(ctx, "nicteam delete "+team+" -y", commandLimit); err != nil {
		return err
	}
	if err := l.wait(ctx, beyondLease); err != nil {
		return err
	}
	return l.compare(ctx, "deleted")
}

func (l *life) after(ctx context.Context) error {
	if err := l.boot(ctx); err != nil {
		return err
	}
	if err := l.again(ctx, 2*renewalTime); err != nil {
		return err
	}
	return l.compare(ctx, "after reboot")
}

// compare notes what differs from the machine before it had a team.
// Lines with one of the prefixes do not count.
func (l *life) compare(ctx context.Context, when string, ignored ...string) error {
	got, err := l.state(ctx)
	if err != nil {
		return err
	}
	if l.initial == nil {
		return errors.New("no state before the team is known")
	}
	got = slices.DeleteFunc(got, func(line string) bool {
		return slices.ContainsFunc(ignored, func(prefix string) bool { return strings.HasPrefix(line, prefix) })
	})
	if d := got.diff(l.initial); len(d) > 0 {
		l.note("%s, **differs**: %s", when, strings.Join(d, "; "))
	} else {
		l.note("%s: as before", when)
	}
	return nil
}
