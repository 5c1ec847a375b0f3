// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
)

// AdapterUp says whether the adapter is up administratively.
type AdapterUp struct{ Up bool }

// AddressesLeft lists addresses that the adapter, or a VLAN on it, no longer has.
type AddressesLeft struct{ List []LeftAddress }

// LeftAddress is an address that this host no longer has.
type LeftAddress struct {
	IP   netip.Addr
	VLAN uint16 // 0: untagged
}

func (AdapterUp) isInput()     {}
func (AddressesLeft) isInput() {}

// addressesLeft lets the mode forget what peers were told of these addresses.
func (l *Loop) addressesLeft(now time.Time, in AddressesLeft, out *Output) {
	for _, a := range in.List {
		a.IP = a.IP.Unmap().WithZone("")
		if _, held := l.held[HeldAddress(a)]; held {
			delete(l.held, HeldAddress(a))
			l.planPending = l.plan != nil
		}
		l.addEffects(now, l.mode.Handle(now, modes.AddressLeft{IP: a.IP, VLAN: a.VLAN}), out)
	}
}

// AdapterUp says whether the adapter is up administratively.
func (t *Team) AdapterUp(ctx context.Context, up bool) error {
	_, err := t.post(ctx, request{in: AdapterUp{Up: up}})
	return err
}

// AddressesLeft reports addresses that the host no longer has behind the adapter. When one returns, no peer is assumed
// to know it.
func (t *Team) AddressesLeft(ctx context.Context, list []LeftAddress) error {
	_, err := t.post(ctx, request{in: AddressesLeft{List: list}})
	return err
}

// Advise sets a warning that does not degrade the team; an empty text clears it.
func (t *Team) Advise(ctx context.Context, key, text string) error {
	_, err := t.post(ctx, request{in: Warn{Key: key, Text: text, Advice: true}})
	return err
}

// AdapterMAC is the adapter's MAC, which may have been changed by hand.
type AdapterMAC struct{ MAC frame.MAC }

func (AdapterMAC) isInput() {}

// adapterMAC adopts the adapter's MAC. The LACP System keeps the MAC of the start: with another one, partners would
// take it for another host.
func (l *Loop) adapterMAC(now time.Time, mac frame.MAC, out *Output) {
	if mac == l.adapter || mac == 0 || mac.Multicast() {
		return
	}
	l.addEvent(out, now, "adapter-mac-changed", "", fmt.Sprintf("%v, was %v", mac, l.adapter))
	l.adapter, l.dirty = mac, true
	l.configureWatches(now)
	l.fdb.removeMAC(mac) // the adapter may have sent with it already
	l.announceAll(out)
}

// AdapterMAC reports the adapter's MAC.
func (t *Team) AdapterMAC(ctx context.Context, mac frame.MAC) error {
	_, err := t.post(ctx, request{in: AdapterMAC{MAC: mac}})
	return err
}
