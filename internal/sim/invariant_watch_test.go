// SPDX-License-Identifier: MIT

package sim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nicteam/modes"
)

// ownMACs is a life with a team of NICs that take in their own MAC only, which asks a gateway.
func ownMACs(t *testing.T) (*bench, *life) {
	b := newBench(t, modes.ELB, 0, 2, Line{})
	for _, name := range []string{"wifi0", "wifi1", "eth0"} {
		n := b.NIC(name)
		n.OwnMAC = name != "eth0"
		wire, port := b.sw.Plug(n.End, Line{})
		b.nics, b.wires, b.ports = append(b.nics, n), append(b.wires, wire), append(b.ports, port)
		b.team.Add(n, 0)
	}
	b.team.Gateway(false, b.peers[0])
	b.both(0, 3000, 200, light)
	b.pass(3 * time.Second)
	b.allUp()
	return b, &life{World: b.World, teams: []*lived{{Team: b.team, nics: b.nics, wires: b.wires}}}
}

// TestJudgedAwaitsAskByOwnMAC: a member that asks only now and then while it is down is blamed only if its next asks
// change nothing.
func TestJudgedAwaitsAskByOwnMAC(t *testing.T) {
	t.Parallel()
	for silent := 3200 * time.Millisecond; silent <= 6400*time.Millisecond; silent += 800 * time.Millisecond {
		b, l := ownMACs(t)
		b.wires[1].Ends[0].Break(1)
		b.pass(silent)
		b.wires[1].Ends[0].Mend()
		b.pass(settleTime)
		if err := l.judged(); err != nil {
			t.Fatalf("silent for %v: %v", silent, err)
		}
		b.allUp()
	}
}

// TestJudgedBlames: judged finds a member that is held down for no fault of its cable, whatever its NIC takes in.
func TestJudgedBlames(t *testing.T) {
	t.Parallel()
	for _, nic := range []int{1, 2} {
		b, l := ownMACs(t)
		b.wires[nic].Ends[0].Break(1)
		b.pass(idleMost)
		b.ports[nic].VLAN = 7 // nobody answers there
		b.wires[nic].Ends[0].Mend()
		b.pass(settleTime)
		err := l.judged()
		if f := (*Failure)(nil); !errors.As(err, &f) || !strings.Contains(f.What, b.nics[nic].Name+" is still down") {
			t.Errorf("%s: %v", b.nics[nic].Name, err)
		}
	}
}
