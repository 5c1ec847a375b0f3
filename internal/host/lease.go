package host

import (
	"net/netip"
	"time"
)

// Lease is an address whose time is limited, by somebody who has to renew it.
type Lease struct {
	Address netip.Prefix
	Left    time.Duration
	Total   time.Duration // when it was last renewed
}

// leases are the addresses whose time is limited. A router's advertisements renew those that the kernel made of them.
func (h *Host) leases(list []object) (leases []Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range list {
		_, valid := lifetimes(o)
		if valid == forever || autoconfigured(o) || temporary(o) {
			continue
		}
		left := time.Duration(valid) * time.Second
		total := left + max(0, time.Duration(monotonicTime())-renewedAt(o))
		if was, ok := h.renewedBefore(o, left); ok {
			total = was
		}
		leases = append(leases, Lease{addressPrefix(o), left, total})
	}
	return leases
}

// renewedBefore is how long an address was given for while a NIC had it, when nobody has renewed it since.
func (h *Host) renewedBefore(o object, left time.Duration) (total time.Duration, ok bool) {
	if h.journal == nil {
		return 0, false
	}
	const sameEnd = 2 * time.Second // the kernel counts whole seconds
	for _, m := range h.journal.state.members {
		for _, r := range m.Addresses {
			_, valid := lifetimes(r)
			if valid == forever || !sameAddress(r, o) {
				continue
			}
			then := time.Duration(valid) * time.Second
			since := time.Duration(bootTime() - m.At)
			if d := then - since - left; d < -sameEnd || d > sameEnd {
				continue
			}
			recorded := time.Duration(monotonicTime()) - since
			return then + max(0, recorded-renewedAt(r)), true
		}
	}
	return 0, false
}
