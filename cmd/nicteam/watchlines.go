// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/units"
)

var errEnough = errors.New("enough")

// watch prints a line per interval, with events also a line per event.
func (a *app) watch(name, nic string, interval time.Duration, count int, events bool) error {
	ctx, cancel := context.WithCancel(a.interruptible())
	c := a.client(name)
	defer c.Close()
	a.stream = true
	var writing sync.Mutex
	var told sync.WaitGroup
	defer told.Wait()
	defer cancel()
	if events {
		told.Go(func() {
			begin := time.Now()
			_ = c.Events(ctx, true, func(e *api.Event) error { // the stream of rates reports the end
				if e.Time.After(begin) && (nic == "" || e.Member == "" || e.Member == nic) {
					writing.Lock()
					defer writing.Unlock()
					a.say("%s", eventLine(e))
				}
				return nil
			})
		})
	}
	n := 0
	err := c.Rates(ctx, interval, func(r *api.Rates) error {
		if nic != "" && !only(r, nic) {
			return &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("watch %s/%s", name, nic),
				Why: name + " has no such member", Fix: "nicteam status " + name + " shows its members"}
		}
		writing.Lock()
		defer writing.Unlock()
		if a.json {
			if err := a.document(r); err != nil {
				return err
			}
		} else {
			a.say("%s", sentence(r, nic))
		}
		if n++; n == count {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case err == nil:
		return &api.Problem{Kind: api.Failed, What: "watch " + name, Why: "the team has ended",
			Fix: "nicteam list shows the teams"}
	}
	return err
}

// only reduces the document to one member, without the team's protocols. False: no such member.
func only(r *api.Rates, nic string) bool {
	for _, m := range r.Members {
		if m.Name == nic {
			r.Members, r.RX, r.TX = []api.MemberRates{m}, m.RX, m.TX
			r.Protocols = []api.ProtocolRates{}
			return true
		}
	}
	return false
}

// sentence describes the rates of an interval in a line of text.
func sentence(r *api.Rates, nic string) string {
	seconds := float64(r.Interval) / 1e9
	if seconds <= 0 {
		seconds = 1
	}
	flow := func(rx, tx frame.Count) string {
		return fmt.Sprintf("in %s out %s", units.Rate(float64(rx.Bytes)*8/seconds),
			units.Rate(float64(tx.Bytes)*8/seconds))
	}
	parts := []string{fmt.Sprintf("%s %s %s, %.0f and %.0f frames/s", r.Time.Format(time.TimeOnly),
		r.Team, flow(r.RX, r.TX), float64(r.RX.Frames)/seconds, float64(r.TX.Frames)/seconds)}
	for _, m := range r.Members {
		state := ""
		if !m.Link {
			state = " no link"
		}
		if nic == "" {
			parts = append(parts, m.Name+state+" "+flow(m.RX, m.TX))
		} else {
			parts[0] = strings.Replace(parts[0], r.Team, r.Team+"/"+nic+state, 1)
		}
	}
	return strings.Join(parts, "; ")
}
