// SPDX-License-Identifier: MIT

package tui

import (
	"fmt"
	"net/netip"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/units"
)

// Choice is a NIC in the list from which a user chooses members.
type Choice struct {
	api.ListedNIC
	Manager string // the program that configures it, "" for none that is known
	SSH     bool   // the user's SSH session goes by it
	Why     string // why it cannot be chosen, "": it can
	Fix     string // what would change that
}

// usable reports whether the NIC can be chosen.
func (c *Choice) usable() bool { return c.Why == "" }

func (c *Choice) linkText() string {
	switch {
	case c.Link:
		return "up"
	case !c.Up:
		return "disabled"
	}
	return "no carrier"
}

func (c *Choice) speedText() string {
	switch {
	case !c.Link:
		return "-"
	case c.SpeedBps == 0:
		return "unknown"
	}
	return units.Rate(float64(c.SpeedBps))
}

// addressText is the first address, and how many more there are. Each NIC has a link-local one: it says nothing.
func (c *Choice) addressText() string {
	var list []string
	for _, a := range c.Addresses {
		if p, err := netip.ParsePrefix(a); err != nil || !p.Addr().Is6() || !p.Addr().IsLinkLocalUnicast() {
			list = append(list, a)
		}
	}
	switch n := len(list); n {
	case 0:
		return "-"
	case 1:
		return list[0]
	default:
		return fmt.Sprintf("%s +%d", list[0], n-1)
	}
}

func (c *Choice) sshText() string {
	if c.SSH {
		return "your SSH"
	}
	return ""
}

// details are all that is known of a NIC, the most important first.
func (c *Choice) details() string {
	var list []string
	if !c.usable() {
		list = append(list, "cannot be a member: "+c.Why)
		if c.Fix != "" {
			list = append(list, c.Fix)
		}
	}
	if c.SSH {
		list = append(list, "your SSH session goes by it")
	}
	if c.State == "down" && c.Reason != "" {
		list = append(list, c.Reason)
	}
	if c.Owner != "" && c.usable() {
		list = append(list, c.Owner)
	}
	if c.Manager != "" {
		list = append(list, "managed by "+c.Manager)
	}
	if len(c.Addresses) > 0 {
		list = append(list, strings.Join(c.Addresses, " "))
	}
	link := c.linkText()
	if c.Link {
		link += " " + c.speedText()
		if c.Duplex != "" {
			link += " " + c.Duplex + " duplex"
		}
	}
	list = append(list, link)
	if c.Driver != "" {
		list = append(list, "driver "+c.Driver)
	} else if !c.Physical() {
		list = append(list, c.Kind)
	}
	return c.Name + ": " + strings.Join(append(list, "MAC "+c.MAC, fmt.Sprintf("MTU %d", c.MTU)), "; ")
}

// matches reports whether a word of the filter is in what the list says of the NIC.
func (c *Choice) matches(filter string) bool {
	if filter == "" {
		return true
	}
	text := strings.Join(append([]string{c.Name, c.Kind, c.Driver, c.MAC, c.Manager, c.Owner, c.linkText(), c.sshText(),
		c.Why}, c.Addresses...), " ")
	text = strings.ToLower(text)
	for word := range strings.FieldsSeq(strings.ToLower(filter)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
