package host

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/nfnl"
)

func faceOf(n NIC) nfnl.Iface {
	f := nfnl.Iface{Name: n.Name, Index: uint32(n.Index), Kind: n.Kind, Group: n.raw.Get32(unix.IFLA_GROUP)}
	if f.Kind == "device" {
		f.Kind = ""
	}
	return f
}

// adapterFace is what the adapter is or will be to rules.
func (c *check) adapterFace() nfnl.Iface {
	for _, n := range c.all {
		if n.Name == c.adapter {
			return faceOf(n)
		}
	}
	return nfnl.Iface{Name: c.adapter, Kind: "tun", Index: math.MaxInt32}
}

// shownRules bounds how many rules a warning cites.
const shownRules = 3

// firewall finds what rules do to the members' traffic and will not do to the adapter's, or the other way round.
func (c *check) firewall() {
	nft, err := nfnl.ReadRuleset()
	if err != nil {
		c.warnf("nftables cannot be read, so rules that name the NICs are not found: %v", err)
	}
	tables := nfnl.ReadXtables()
	sets, err := nfnl.InterfaceSets()
	if err != nil {
		c.warnf("ipsets cannot be read, so those that have the NICs are not found: %v", err)
	}
	adapter := c.adapterFace()
	for _, n := range c.chosen {
		var ends, begins []string
		note := func(list *[]string, deeds []nfnl.Effect) {
			for _, d := range deeds {
				if line := d.Chain + ": " + d.Text; !slices.Contains(*list, line) {
					*list = append(*list, line)
				}
			}
		}
		for _, dir := range []nfnl.Direction{nfnl.Incoming, nfnl.Outgoing} {
			e, b := nfnl.DiffEffects(nft.Effects(faceOf(n), dir), nft.Effects(adapter, dir))
			note(&ends, e)
			note(&begins, b)
			e, b = nfnl.DiffEffects(tables.Effects(faceOf(n), dir), tables.Effects(adapter, dir))
			note(&ends, e)
			note(&begins, b)
		}
		if len(ends) > 0 {
			c.guard(fmt.Sprintf("firewall rules match %s and will not match what goes by %s: %s", n.Name, c.adapter, cited(ends)),
				fmt.Sprintf("add rules for %s beside them", c.adapter))
		}
		// Where nothing went by the NIC, whoever has made rules for the adapter wants them.
		if len(begins) > 0 && n.inUse() {
			c.guard(fmt.Sprintf("firewall rules that do not match %s will match what goes by %s: %s", n.Name, c.adapter, cited(begins)),
				fmt.Sprintf("have them leave %s out", c.adapter))
		}
		if only := nfnl.SetsWithout(sets, n.Name, adapter.Name); len(only) > 0 {
			c.guard(fmt.Sprintf("sets of the firewall have %s and not %s: %s", n.Name, c.adapter, cited(only)), fmt.Sprintf("add %s to them", c.adapter))
		}
		if hooks := nft.HooksOn(n.Name); len(hooks) > 0 {
			c.guard(fmt.Sprintf("nftables hooks on the device %s will not see what comes by the team: %s", n.Name, cited(hooks)),
				fmt.Sprintf("hook %s instead", c.adapter))
		}
	}
}

func cited(lines []string) string {
	if len(lines) > shownRules {
		return fmt.Sprintf("%s; and %d more", strings.Join(lines[:shownRules], "; "), len(lines)-shownRules)
	}
	return strings.Join(lines, "; ")
}
