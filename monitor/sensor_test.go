// SPDX-License-Identifier: MIT

package monitor

import (
	"testing"
	"time"
)

// In elb peers answer by the member that their address is given to: another one sends and never hears a host, which is
// no fault of its own. When it fails in one direction, the probes between the members show that at once.
func TestProbesSenseWhereNoHostIsHeard(t *testing.T) {
	for name, dies := range map[string]func(m *port){
		"sends nothing": func(m *port) { m.txDead = true },
		"hears nothing": func(m *port) { m.rxDead = true },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{2, 3} {
				l := newLAN(t, n, "auto")
				l.gateway(gw)
				l.sync()
				l.load(1000)
				l.members[1].rx = 0
				l.run(3 * time.Minute)
				l.neverDown()
				dies(l.members[1])
				if took := l.until(1, Down, 45*ms); took <= 45*ms {
					t.Logf("%d members: down after %v", n, took)
				}
				for id := range n {
					if id != 1 {
						l.neverDown(id)
					}
				}
			}
		})
	}
}
