// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A result is what a scenario showed.
type result struct {
	Scenario string
	observation
	IPv4, IPv6 string // the addresses that were pinged
	Notes      []string
	Err        error // the scenario could not be done to its end
}

// hostLimit is how long a machine's scenarios may take in all.
const hostLimit = 90 * time.Minute

func run(ctx context.Context, o options) error {
	chosen, err := chooseScenarios(o.scenarios)
	if err != nil {
		return err
	}
	var reports []report
	for _, r := range o.chosen {
		reports = append(reports, runHost(ctx, o, r, chosen))
		if o.out != "" {
			// After each host: a run takes an hour, and what there is must not be lost.
			if err := os.WriteFile(o.out, []byte(markdown(reports)), 0o644); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Print(markdown(reports))
	return failures(reports)
}

func runHost(ctx context.Context, o options, r recipe, chosen []scenario) report {
	rep := report{Host: r.Name, About: r.About, Began: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, hostLimit)
	defer cancel()
	b, err := newBench(ctx, o, r)
	if err != nil {
		rep.Err = err
		return rep
	}
	defer b.close()
	if rep.Err = b.install(ctx, o.binary, o.packaging); rep.Err != nil {
		return rep
	}
	rep.Versions = b.versions(ctx)
	// Whoever wants to look into the machine meanwhile may: hosts do HOST exec.
	go func() {
		if err := b.takeOrders(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "%s: no orders: %v\n", r.Name, err)
			return
		}
		cancel()
	}()
	l := &life{bench: b, pause: pause}
	rep.Results, rep.Err = l.live(ctx, chosen, func(text string) { fmt.Printf("%s: %s\n", r.Name, text) })
	return rep
}

// live runs scenarios one after the other.
func (l *life) live(ctx context.Context, chosen []scenario, say func(string)) (results []result, err error) {
	if l.at, err = l.awaitAddresses(ctx, settleLimit); err != nil {
		return nil, fmt.Errorf("without a team: %w", err)
	}
	if l.initial, err = l.state(ctx); err != nil {
		return nil, err
	}
	for _, s := range chosen {
		r := l.play(ctx, s)
		say(r.summary())
		if r.bad() {
			l.keep(ctx, s.Name)
		}
		results = append(results, r)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		if s.Name == "create" && r.Err != nil {
			return results, fmt.Errorf("no team: %w", r.Err)
		}
	}
	return results, nil
}

// play runs one scenario.
func (l *life) play(ctx context.Context, s scenario) result {
	l.notes = nil
	l.followIPv6(ctx)
	r := result{Scenario: s.Name, IPv4: l.at.IPv4, IPv6: l.at.IPv6}
	w, err := l.bench.watch(ctx, l.at, s.Session)
	if err != nil {
		r.Err = err
		return r
	}
	l.watch = w
	r.Err = s.Do(ctx, l)
	// Reboots begin a new one.
	r.observation = l.watch.stop()
	r.IPv4, r.IPv6, r.Notes = l.at.IPv4, l.at.IPv6, l.notes
	return r
}

// followIPv6 goes on with another address if the one that was pinged is gone: the scenario in which that happened says
// so, and the later ones show whether the new one is reached.
func (l *life) followIPv6(ctx context.Context) {
	links, err := l.links(ctx)
	if err != nil {
		return
	}
	if holder, _ := findAddress(links, l.at.IPv6); holder != "" {
		return
	}
	if found := findIPv6(links); found != "" {
		l.note("IPv6 address is another one")
		l.at.IPv6 = found
	}
}

// record returns the machine's own view, for who reads about a failure.
func (l *life) record(ctx context.Context) string {
	out, _, err := l.machine.Run(ctx, "ip -br addr; ip route; ip -6 route | grep default; nicteam status "+team+"; "+
		"journalctl -b -u nicteam@"+team+" --no-pager | tail -20; "+l.Show, commandLimit)
	if err != nil {
		return out + "\n" + err.Error()
	}
	return out
}

// keep writes the record of a scenario beside the machine's disk.
func (l *life) keep(ctx context.Context, name string) {
	if l.dir != "" {
		_ = os.WriteFile(filepath.Join(l.dir, name+".txt"), []byte(l.record(ctx)), 0o644)
	}
}

// versions are those of what was tried.
func (b *bench) versions(ctx context.Context) []string {
	out, _, err := b.machine.Run(ctx, "nicteam version; uname -r; cat /etc/debian_version; "+b.Version, commandLimit)
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}
