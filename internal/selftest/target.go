// SPDX-License-Identifier: MIT

package selftest

import (
	"fmt"
	"time"

	"nicteam/internal/host"
)

// target is a neighbour that is asked: before the change on the link of its Reach, after it on at.
type target struct {
	host.Reach
	answered bool // before the change

	at     host.Reach
	placed bool // it can be asked at
	asked  int
	next   time.Time // when it is asked again
	passed bool      // it has answered after the change
}

func (g *target) String() string {
	text := "host "
	if g.Gateway {
		text = "gateway "
	}
	text += g.IP.String()
	if g.VLAN != 0 {
		text += fmt.Sprintf(" of VLAN %d", g.VLAN)
	}
	return text
}

// look sees whether a target has answered before the change.
func (g *target) look(h *host.Host) {
	if !g.answered {
		g.answered, _ = h.Answered(g.Reach)
	}
}

// retries are the waits for an answer. A first question may be lost while switches learn where the MAC is, or go by a
// NIC that is about to leave use.
var retries = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond,
	400 * time.Millisecond}

const laterRetries = 500 * time.Millisecond

// anewAfter is the number of questions after which the neighbour is looked for by multicast: its MAC may be another.
const anewAfter = 4

// step goes on with a target after the change.
func (g *target) step(h *host.Host, links []int) error {
	if g.passed {
		return nil
	}
	now := time.Now()
	if g.placed && g.asked > 0 {
		var err error
		if g.passed, err = h.Answered(g.at); g.passed || err != nil {
			return err
		}
	}
	if now.Before(g.next) {
		return nil
	}
	var err error
	if g.at, g.placed, err = h.ReachOn(g.Reach, links...); err != nil {
		return err
	}
	if !g.placed {
		g.next = now.Add(lastLook)
		return nil
	}
	if _, err = h.Ask(g.at, g.asked == anewAfter); err != nil {
		return err
	}
	wait := laterRetries
	if g.asked < len(retries) {
		wait = retries[g.asked]
	}
	g.asked++
	g.next = now.Add(wait)
	return nil
}
