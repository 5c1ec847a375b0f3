// SPDX-License-Identifier: MIT

package team

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// HeldAddress is an address of the adapter or of a link on it.
type HeldAddress struct {
	IP   netip.Addr
	VLAN uint16 // 0: untagged
}

// AddressesHeld lists all addresses of the adapter and of the links on it, also of those with a MAC of their own.
type AddressesHeld struct {
	List []HeldAddress
	MACs []frame.MAC // of all NICs of this host, sorted: those that are no members may speak for its addresses, too
}

func (AddressesHeld) isInput() {}

// AddressesHeld reports all addresses that the host has behind the adapter.
func (t *Team) AddressesHeld(ctx context.Context, held AddressesHeld) error {
	_, err := t.post(ctx, request{in: held})
	return err
}

// maxHeld bounds the addresses that are known: of a host with more, the others are not watched.
const maxHeld = 1024

// heldAddresses are the addresses of this host behind the adapter, and since when it has them; zero: since before the
// control loop began.
type heldAddresses map[HeldAddress]time.Time

// addressesHeld adopts the present addresses. What left while nobody followed the host, as between two processes, is
// forgotten by the mode like any other that leaves.
func (l *Loop) addressesHeld(now time.Time, in AddressesHeld, out *Output) {
	first := l.held == nil
	held := make(heldAddresses, len(in.List))
	for _, a := range in.List {
		a.IP = a.IP.Unmap().WithZone("")
		if !a.IP.IsValid() || len(held) == maxHeld {
			continue
		}
		since, had := l.held[a]
		if !had && !first {
			since = now
		}
		held[a] = since
	}
	var left AddressesLeft
	for _, a := range l.held.list() {
		if _, stays := held[a]; !stays {
			left.List = append(left.List, LeftAddress(a))
		}
	}
	l.held, l.hostMACs = held, in.MACs
	l.addressesLeft(now, left, out)
	for _, a := range held.list() {
		l.addEffects(now, l.mode.Handle(now, modes.AddressHeld{IP: a.IP, VLAN: a.VLAN}), out)
	}
	if l.plan != nil && !slices.Equal(l.plan.Held, held.ips()) {
		l.planPending = true
	}
}

func (a HeldAddress) compare(b HeldAddress) int {
	return cmp.Or(a.IP.Compare(b.IP), cmp.Compare(a.VLAN, b.VLAN))
}

// String names the address, and the VLAN if there is one.
func (a HeldAddress) String() string {
	if a.VLAN != 0 {
		return fmt.Sprintf("%v in VLAN %d", a.IP, a.VLAN)
	}
	return a.IP.String()
}

// list returns the addresses in order.
func (h heldAddresses) list() []HeldAddress {
	return slices.SortedFunc(maps.Keys(h), HeldAddress.compare)
}

// ips returns the addresses as a Plan has them: sorted, each once; nil for none.
func (h heldAddresses) ips() (ips []netip.Addr) {
	for a := range h {
		ips = append(ips, a.IP)
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(ips)
}

// withHeld returns p with the addresses of this host.
func (l *Loop) withHeld(p *spread.Plan) *spread.Plan {
	if len(l.held) == 0 {
		return p
	}
	with := *p
	with.Held = l.held.ips()
	return &with
}

// resumeHeld takes the addresses of the process before.
func (l *Loop) resumeHeld(list []HeldAddress) {
	if list == nil {
		return
	}
	l.held = heldAddresses{}
	for _, a := range list {
		if a.IP.IsValid() {
			l.held[a] = time.Time{}
		}
	}
}
