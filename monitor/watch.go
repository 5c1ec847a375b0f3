// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"net/netip"
	"slices"
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

// Watch is one link watch of a team: it says whom the members ask. Who asks how, and what an answer proves, is the same
// for all: see [Watches].
type Watch interface {
	// Wants returns what the watch asks in these surroundings. It is called when they change.
	Wants(s *Surroundings) Wants
}

// Surroundings are what a Watch knows when it says whom to ask.
type Surroundings struct {
	Targets
	Aggregated bool

	// Silent reports whether a target that is asked answers by no member.
	Silent func(Target) bool
}

// Wants is whom a Watch asks.
type Wants struct {
	Targets []Wanted
	Every   bool     // a member that one of them does not answer is down; else only one that none answers
	Probe   ProbeUse // what frames between the members are for
	Always  bool     // satisfied without asking
}

// Wanted is a target and what it is to the reader: "gateway", "host", or "".
type Wanted struct {
	Target
	Noun string
}

// ProbeUse says what probe frames between the members are for.
type ProbeUse uint8

// The uses of probe frames.
const (
	ProbeNone    ProbeUse = iota
	ProbeSenses           // frames that stop make both ends suspect
	ProbeDecides          // they are what verdicts follow from
)

// WatchKind is a row of the table of link watches.
type WatchKind struct {
	Name    string
	Address string // "IPv4" or "IPv6" if a spec has one, else ""
	Help    string

	make func(Spec) Watch
}

// Usage is how a spec of this kind is written: "arp:IP".
func (k *WatchKind) Usage() string {
	if k.Address != "" {
		return k.Name + ":IP"
	}
	return k.Name
}

var watchKinds = []WatchKind{
	{Name: KindAuto, Help: "gateway where there is one, else hosts heard from lately, else probe",
		make: func(Spec) Watch { return &autoWatch{} }},
	{Name: KindCarrier, Help: "the driver's link state alone, which the others include",
		make: func(Spec) Watch { return carrierWatch{} }},
	{Name: KindGateway, Help: "ask the default gateways of the adapter",
		make: func(Spec) Watch { return gatewayWatch{} }},
	{Name: KindARP, Address: "IPv4", Help: "ask that address by ARP",
		make: func(s Spec) Watch { return addressWatch{s.IP} }},
	{Name: KindND, Address: "IPv6", Help: "ask that address by neighbour discovery",
		make: func(s Spec) Watch { return addressWatch{s.IP} }},
	{Name: KindProbe, Help: "frames between the members, and to other nicteams on the LAN",
		make: func(Spec) Watch { return probeWatch{} }},
}

// WatchKinds returns the table of link watches.
func WatchKinds() []WatchKind { return slices.Clone(watchKinds) }

// newWatch returns the watch that s names, nil for a kind that is unknown.
func newWatch(s Spec) Watch {
	for _, k := range watchKinds {
		if k.Name == s.Kind {
			return k.make(s)
		}
	}
	return nil
}

// watchUsages lists how specs are written: "auto, carrier, …".
func watchUsages() string {
	var all []string
	for _, k := range watchKinds {
		all = append(all, k.Usage())
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

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
		case a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a == limitedBroadcast:
			return Spec{}, fmt.Errorf("link watch %q: %s is not the address of one host on the LAN", s, a)
		}
		return Spec{Kind: name, IP: a}, nil
	}
	return Spec{}, fmt.Errorf("link watch %q is unknown, want %s", s, watchUsages())
}
