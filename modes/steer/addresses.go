// SPDX-License-Identifier: MIT

package steer

import (
	"maps"
	"net/netip"
	"time"
)

// leftTime is how long after an address has left nothing is learnt about it. Frames that the stack sent while it had
// the address may still wait in the adapter's queue, also through the death of a process: a binding of one of them
// would have peers notified of an address that another host has now.
const leftTime = 3 * time.Second

// ForgetAddress forgets an address that this host no longer has: its peers are notified no more, and neither answers to
// requests for it nor late frames make bindings.
func (s *Balancer) ForgetAddress(now time.Time, vlan uint16, ours netip.Addr) {
	k := addressKey{vlan, ours}
	s.requests.forget(k)
	s.forgetBindings(k)
	maps.DeleteFunc(s.left, func(_ addressKey, at time.Time) bool { return now.Sub(at) >= leftTime })
	if s.left == nil {
		s.left = map[addressKey]time.Time{}
	}
	s.left[k] = now
}

// HaveAddress says that this host has an address, maybe again.
func (s *Balancer) HaveAddress(vlan uint16, ours netip.Addr) { delete(s.left, addressKey{vlan, ours}) }

// Unbind removes the bindings of an address that another host claims: the team does not tell peers otherwise. Peers
// that ask this host are bound anew.
func (s *Balancer) Unbind(vlan uint16, ours netip.Addr) { s.forgetBindings(addressKey{vlan, ours}) }

func (s *Balancer) forgetBindings(k addressKey) {
	for b := range s.table.all() { // in order: sums of floats depend on it
		if b.addressKey == k {
			s.forget(b)
		}
	}
}

// hasLeft reports whether an address left so lately that frames about it may be from before.
func (s *Balancer) hasLeft(now time.Time, k addressKey) bool {
	at, left := s.left[k]
	return left && now.Sub(at) < leftTime
}
