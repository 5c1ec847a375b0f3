// SPDX-License-Identifier: MIT

package importer

import (
	"fmt"
	"net/netip"
	"strings"
)

// Network are the settings of a network that a bond or a team has, whatever the format calls them.
var Network = []Option{
	{Key: "address", Setting: "address", Note: "with its length"},
	{Key: "gateway", Setting: "gateway", Note: "the default route; one, with addresses that are given"},
	{Key: "dhcp", Setting: "address", Note: "`address: dhcp`"},
	{Key: "mtu", Setting: "mtu"},
	{Key: "mac", Setting: "mac"},
	{Key: "dhcp6", Same: []string{"false", "no", "0", "off"},
		Note: "nicteam has no DHCPv6 client: addresses of router advertisements are the kernel's as on any link"},
	{Key: "route", Note: "given addresses have a gateway only; with address: auto routes of the NICs move along"},
	{Key: "dns", Note: "how names are resolved stays as the host has it"},
	{Key: "command", Note: "commands are not run"},
	{Key: "upper", Note: "it is not made by nicteam; it can stand on the adapter, which has this name"},
	{Key: "other", Note: "left out"},
}

// network reads the settings of the network.
func (b *builder) network() {
	var list, gateways []Entry
	var dhcp *Entry
	for _, e := range b.src.Network {
		o := find(Network, e.Key)
		switch {
		case o.same(e.Value):
		case e.Key == "address":
			list = append(list, e)
		case e.Key == "gateway":
			gateways = append(gateways, e)
		case e.Key == "dhcp":
			if on, ok := truth(e.Value); on || !ok {
				dhcp = &e
			}
		case e.Key == "mtu" && e.Implied && e.Value == "1500":
		case e.Key == "mtu", e.Key == "mac":
			b.set(e, e.Key, e.Value)
		default:
			b.note(e, "no equal: "+o.Note)
		}
	}
	if dhcp != nil {
		b.set(*dhcp, "address", "dhcp")
		for _, e := range append(list, gateways...) {
			if !e.Implied {
				b.note(e, "left out beside DHCP: add it to the adapter by hand")
			}
		}
		return
	}
	b.addresses(list)
	b.gateways(gateways)
}

// addresses gives the adapter addresses. One that is not allowed is left out, with a note.
func (b *builder) addresses(list []Entry) {
	var texts []string
	for _, e := range list {
		if _, err := netip.ParsePrefix(e.Value); err != nil {
			b.note(e, "left out: want ADDRESS/LENGTH")
			continue
		}
		was, notes := b.c.AddressList(), len(b.notes)
		b.set(e, "address", strings.Join(append(texts, e.Value), ","))
		if len(b.notes) == notes && b.c.AddressList() != was {
			texts = append(texts, e.Value)
		}
	}
}

func (b *builder) gateways(list []Entry) {
	for i, e := range list {
		switch {
		case i > 0:
			b.note(e, fmt.Sprintf("left out: gateway is one address, %s", list[0].Value))
		case len(b.c.Addresses) == 0:
			b.note(e, "left out: a gateway goes with addresses that are given")
		default:
			b.set(e, "gateway", e.Value)
		}
	}
}
