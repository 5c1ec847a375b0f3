// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"time"
)

// unconfirmed is how long a create waits for a confirmation that does not come, reverted the exit code of that.
const (
	unconfirmed = 30 * time.Second
	reverted    = 6
)

// createUnconfirmed creates a team in a login session and does not confirm it.
func (l *life) createUnconfirmed(ctx context.Context) error {
	began := time.Now()
	out, code, err := l.network.Login(ctx, l.at.IPv4,
		fmt.Sprintf("nicteam create %s eth0 eth1 --confirm %v", team, unconfirmed), createLimit)
	if err != nil {
		return err
	}
	if code != reverted {
		l.note("**create ended with exit %d, not %d**: %s", code, reverted, lastLines(out, 3))
		// Later scenarios want a host without a team.
		if err := l.command(ctx, "nicteam delete "+team+" -y", commandLimit); err != nil {
			l.note("%v", err)
		}
	} else {
		l.note("reverted after %.0f s", time.Since(began).Seconds())
	}
	if err := l.wait(ctx, quiet); err != nil {
		return err
	}
	return l.compare(ctx, "unconfirmed")
}

// cutPower cuts the power while a create waits for confirmation.
func (l *life) cutPower(ctx context.Context) error {
	// What was there before the create is on the disk.
	if err := l.command(ctx, "sync", commandLimit); err != nil {
		return err
	}
	session, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan string, 1)
	go func() {
		out, code, err := l.network.Login(session, l.at.IPv4, "nicteam create "+team+" eth0 eth1 --confirm 10m",
			createLimit)
		ended <- fmt.Sprintf("exit %d, %v: %s", code, err, lastLines(out, 3))
	}()
	if err := l.awaitTeam(ctx, createLimit); err != nil {
		end()
		return fmt.Errorf("%w; create: %s", err, <-ended)
	}
	if err := l.wait(ctx, quiet); err != nil {
		return err
	}
	select {
	case said := <-ended:
		l.note("**create did not wait**: %s", said)
	default:
	}
	// So is what the create wrote.
	if err := l.command(ctx, "sync", commandLimit); err != nil {
		return err
	}
	if err := l.machine.Cut(ctx); err != nil {
		return err
	}
	end()
	l.booted(ctx)
	if err := l.again(ctx, 2*renewalTime); err != nil {
		return err
	}
	return l.compare(ctx, "after the power cut")
}
