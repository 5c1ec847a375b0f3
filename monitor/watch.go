// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"net/netip"
	"strings"
)

// Kinds of link watches.
const (
	KindAuto    = "auto"
	KindCarrier = "carrier"
	KindGateway = "gateway"
	KindARP     = "arp"
	KindND      = "nd"
	KindProbe   = "probe"
)

// Spec names one link watch: a kind, and the address that it asks.
type Spec struct {
	Kind string
	IP   netip.Addr // of arp and nd
}

func (s Spec) String() string {
	if s.IP.IsValid() {
		return s.Kind + ":" + s.IP.String()
	}
	return s.Kind
}

// WatchKind is a row of the table of link watches.
type WatchKind struct {
	Name    string
	Address string // "IPv4" or "IPv6" if a spec has one, else ""
	Help    string
}

// Usage is how a spec of this kind is written: "arp:IP".
func (k *WatchKind) Usage() string {
	if k.Address != "" {
		return k.Name + ":IP"
	}
	return k.Name
}

var watchKinds = []WatchKind{
	{Name: KindAuto, Help: "gateway where there is one, else hosts heard from lately, else probe"},
	{Name: KindCarrier, Help: "the driver's link state alone, which the others include"},
	{Name: KindGateway, Help: "ask the default gateways of the adapter"},
	{Name: KindARP, Address: "IPv4", Help: "ask that address by ARP"},
	{Name: KindND, Address: "IPv6", Help: "ask that address by neighbour discovery"},
	{Name: KindProbe, Help: "frames between the members, and to other nicteams on the LAN"},
}

// WatchKinds returns the table of link watches.
func WatchKinds() []WatchKind { return watchKinds }

// watchUsages lists how specs are written: "auto, carrier, …".
func watchUsages() string {
	var all []string
	for _, k := range watchKinds {
		all = append(all, k.Usage())
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// ParseSpec reads the form of [Spec.String].
func ParseSpec(s string) (Spec, error) {
	name, ip, colon := strings.Cut(s, ":")
	for _, k := range watchKinds {
		switch {
		case k.Name != name:
			continue
		case k.Address == "" && colon:
			return Spec{}, fmt.Errorf("link watch %q: %s has no address", s, name)
		case k.Address == "":
			return Spec{Kind: name}, nil
		case ip == "":
			return Spec{}, fmt.Errorf("link watch %q: address missing, want %s", s, k.Usage())
		}
		a, err := netip.ParseAddr(ip)
		if err != nil || a.Zone() != "" {
			return Spec{}, fmt.Errorf("link watch %q: %q is not an %s address", s, ip, k.Address)
		}
		a = a.Unmap()
		switch {
		case a.Is4() != (k.Address == "IPv4"):
			other := KindARP
			if a.Is6() {
				other = KindND
			}
			return Spec{}, fmt.Errorf("link watch %q: want an %s address, %s:%s asks this one", s, k.Address, other, a)
		case a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return Spec{}, fmt.Errorf("link watch %q: %s is not the address of one host on the LAN", s, a)
		}
		return Spec{Kind: name, IP: a}, nil
	}
	return Spec{}, fmt.Errorf("link watch %q is unknown, want %s", s, watchUsages())
}
