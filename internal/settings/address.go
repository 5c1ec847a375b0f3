// SPDX-License-Identifier: MIT

package settings

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nicteam/internal/frame"
)

const addressFix = "write auto, dhcp, none, or addresses with their prefix length such as 10.0.0.1/24"

// addressWords stand for where addresses come from.
var addressWords = []string{"auto", "dhcp", "none"}

// addresses are those of the adapter, or where they come from.
var addresses = value{Type: List, Values: "auto, dhcp, none, or ADDRESS/LENGTH[,ADDRESS/LENGTH]",
	Words: addressWords,
	get: func(c *Config) any {
		switch c.Address {
		case AddressAuto:
			return []string{"auto"}
		case AddressDHCP:
			return []string{"dhcp"}
		case AddressNone:
			return []string{"none"}
		}
		return strings.Split(c.AddressList(), ", ")
	},
	set:   parseAddresses,
	check: checkAddresses,
}

func parseAddresses(c *Config, v any) *Fault {
	list := asList(v)
	c.Addresses = nil
	if len(list) == 1 {
		switch strings.ToLower(list[0]) {
		case "auto":
			c.Address = AddressAuto
			return nil
		case "dhcp":
			c.Address = AddressDHCP
			return nil
		case "none":
			c.Address = AddressNone
			return nil
		}
	}
	c.Address = AddressGiven
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			why := "an address is followed by a slash and its prefix length"
			if slices.ContainsFunc(addressWords, func(w string) bool { return strings.EqualFold(s, w) }) {
				why = strings.ToLower(s) + " stands alone, not in a list of addresses"
			}
			return &Fault{Key: entry(i, len(list)), What: fmt.Sprintf("%q is not an address with its prefix length", s),
				Why: why, Fix: addressFix}
		}
		c.Addresses = append(c.Addresses, p)
	}
	return nil
}

// entry is the key of an entry of a list, "" for the only one.
func entry(i, of int) string {
	if of == 1 {
		return ""
	}
	return fmt.Sprintf("[%d]", i)
}

func checkAddresses(c *Config) *Fault {
	switch {
	case c.Address != AddressGiven:
		return nil
	case len(c.Addresses) == 0:
		return &Fault{What: "no address given", Why: "the list is empty", Fix: addressFix}
	}
	seen := map[netip.Addr]bool{}
	for i, p := range c.Addresses {
		if why := badAddress(p, seen); why != "" {
			return &Fault{Key: entry(i, len(c.Addresses)), What: fmt.Sprintf("%v cannot be the adapter's address", p),
				Why: why, Fix: addressFix}
		}
		seen[p.Addr()] = true
	}
	return nil
}

// badAddress says why the adapter cannot have an address besides those seen, "" when it can.
func badAddress(p netip.Prefix, seen map[netip.Addr]bool) string {
	a := p.Addr()
	switch {
	case !p.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(), a.Is4In6(), a.Zone() != "":
		return "it is not the address of a host"
	case a.Is4() && p.Bits() < 31 && p.Bits() > 0 && (a == p.Masked().Addr() || a == broadcast(p)):
		return "it is the network's own or its broadcast address"
	case p.Bits() == 0:
		return "its network would be everything"
	case seen[a]:
		return "it is given twice"
	}
	return ""
}

// broadcast returns the highest address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// gateway is the adapter's default gateway.
var gateway = value{Type: Text, Values: "an address, with address ADDRESS/LENGTH",
	get: func(c *Config) any {
		if !c.Gateway.IsValid() {
			return nil
		}
		return c.Gateway.String()
	},
	set: func(c *Config, v any) *Fault {
		c.Gateway = netip.Addr{}
		s := asText(v)
		if s == "" {
			return nil
		}
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return &Fault{What: fmt.Sprintf("%q is not an address", s),
				Why: "want one IPv4 or IPv6 address without prefix length or zone", Fix: "write it as 10.0.0.254"}
		}
		c.Gateway = a
		return nil
	},
	check: checkGateway,
}

func checkGateway(c *Config) *Fault {
	g := c.Gateway
	switch {
	case !g.IsValid():
		return nil
	case c.Address != AddressGiven:
		return &Fault{What: "given without addresses",
			Why: "with address auto the gateway moves with the NICs' addresses, with address none there is none",
			Fix: "give addresses too: --address 10.0.0.1/24"}
	}
	onLink := g.Is6() && g.IsLinkLocalUnicast()
	for _, p := range c.Addresses {
		if p.Addr() == g {
			return &Fault{What: fmt.Sprintf("%v is the adapter's own address", g), Why: "a gateway is another host",
				Fix: "give the router's address"}
		}
		onLink = onLink || p.Contains(g)
	}
	if onLink {
		return nil
	}
	return &Fault{What: fmt.Sprintf("%v is on no subnet of the adapter", g),
		Why: "the adapter's addresses are " + c.AddressList(),
		Fix: "give a gateway inside one of them"}
}

const (
	macFix    = "write keep, new, or a MAC such as 02:00:00:00:00:01"
	systemFix = "write auto, random, or a MAC such as 02:00:00:00:00:01"
)

// mac is the adapter's MAC.
var mac = value{Type: Text, Values: "keep, new or a MAC", Words: []string{"keep", "new"},
	get: func(c *Config) any {
		switch c.MACPolicy {
		case MACKeep:
			return "keep"
		case MACNew:
			return "new"
		}
		return c.MAC.String()
	},
	set: func(c *Config, v any) *Fault {
		s := asText(v)
		c.MAC = 0
		switch strings.ToLower(s) {
		case "keep":
			c.MACPolicy = MACKeep
			return nil
		case "new":
			c.MACPolicy = MACNew
			return nil
		}
		m, f := parseMAC(s, macFix)
		if f == nil {
			c.MACPolicy, c.MAC = MACGiven, m
		}
		return f
	},
	check: func(c *Config) *Fault {
		if c.MACPolicy == MACGiven {
			return checkStation(c.MAC, macFix)
		}
		return nil
	},
}

// lacpSystem is the MAC of the System that partners see.
var lacpSystem = value{Type: Text, Values: "auto, random or a MAC", Words: []string{"auto", "random"},
	get: func(c *Config) any {
		if c.LACP.System == 0 {
			return "auto"
		}
		return c.LACP.System.String()
	},
	set: func(c *Config, v any) *Fault {
		s := asText(v)
		switch strings.ToLower(s) {
		case "auto":
			c.LACP.System = 0
			return nil
		case "random": // drawn once: the MAC is what is kept
			c.LACP.System = randomMAC()
			return nil
		}
		m, f := parseMAC(s, systemFix)
		if f == nil {
			f = checkStation(m, systemFix)
		}
		if f == nil {
			c.LACP.System = m
		}
		return f
	},
	check: func(c *Config) *Fault {
		if c.LACP.System == 0 {
			return nil
		}
		return checkStation(c.LACP.System, systemFix)
	},
}

func parseMAC(s, fix string) (frame.MAC, *Fault) {
	m, err := frame.ParseMAC(s)
	if err != nil {
		return 0, &Fault{What: fmt.Sprintf("%q is not a MAC", s), Why: "a MAC has six octets", Fix: fix}
	}
	return m, nil
}

// checkStation refuses what is not the address of one station.
func checkStation(m frame.MAC, fix string) *Fault {
	what := fmt.Sprintf("%v is not the MAC of a station", m.HardwareAddr())
	switch {
	case m == 0:
		return &Fault{What: what, Why: "it is nobody's address", Fix: fix}
	case m.Multicast():
		return &Fault{What: what, Why: "it is the address of a group", Fix: fix}
	}
	return nil
}

// randomMAC draws a locally administered unicast address.
func randomMAC() frame.MAC {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&^1 | 2
	return frame.MACAt(b[:], 0)
}
