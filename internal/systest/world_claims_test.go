// SPDX-License-Identifier: MIT

package systest

import (
	"net/netip"
	"slices"
	"sync"

	"nicteam/internal/frame"
)

// sentClaims records what box says of addresses: gratuitous ARP, answers, questions, neighbour advertisements.
type sentClaims struct {
	mu  sync.Mutex
	all []frame.Claim
}

func (w *world) captureClaims() *sentClaims {
	c := &sentClaims{}
	for _, wire := range w.wires {
		wire.A.Filter(func(b []byte) int {
			if claim, ok := frame.ParseClaim(b); ok {
				c.mu.Lock()
				c.all = append(c.all, claim)
				c.mu.Unlock()
			}
			return 1
		})
	}
	return c
}

func (c *sentClaims) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = nil
}

// of returns the MACs that were said to have an address, each once.
func (c *sentClaims) of(ip netip.Addr, vlan uint16) (macs []frame.MAC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, claim := range c.all {
		if claim.IP == ip && claim.VLAN == vlan && !slices.Contains(macs, claim.MAC) {
			macs = append(macs, claim.MAC)
		}
	}
	return macs
}
