package host

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A firewall sees what comes by a member come by the adapter. Whether a rule then does something else is found by trying both:
// as it is for the member, as it will be for the adapter. So wildcards, sets, negations and indices need no list of forms, and a
// rule that has a twin for the adapter already is no trouble.

// face is a link as rules see it. An adapter that is not made yet will have an index that no other link has.
type face struct {
	name  string
	index uint32
	group uint32
	kind  string // rtnetlink's; "" for hardware
}

func faceOf(n NIC) face {
	f := face{name: n.Name, index: uint32(n.Index), kind: n.Kind, group: n.raw.Get32(unix.IFLA_GROUP)}
	if f.kind == "device" {
		f.kind = ""
	}
	return f
}

// adapterFace is what the adapter is or will be to rules.
func (c *check) adapterFace() face {
	for _, n := range c.all {
		if n.Name == c.adapter {
			return faceOf(n)
		}
	}
	return face{name: c.adapter, kind: "tun", index: math.MaxInt32}
}

// direction is which of the two interfaces of a packet is meant.
type direction int

const (
	incoming direction = iota
	outgoing
)

// deed is what a rule does to packets of a face: two rules of one deed are the same to them.
type deed struct {
	chain string // where it stands
	what  string // compared
	text  string // shown
	meant bool   // the rule has the face's own name, so whoever made it knows of it
}

// differing are the rules that do something for one of two faces and not for the other: those that stop matching, then
// those that start to, but for those that are meant for the adapter.
func differing(member, adapter []deed) (ends, begins []deed) {
	begins = slices.DeleteFunc(without(adapter, member), func(d deed) bool { return d.meant })
	return without(member, adapter), begins
}

// without are the deeds of list that have no like in other, each like for one.
func without(list, other []deed) (rest []deed) {
	left := map[[2]string]int{}
	for _, d := range other {
		left[[2]string{d.chain, d.what}]++
	}
	for _, d := range list {
		if k := [2]string{d.chain, d.what}; left[k] > 0 {
			left[k]--
			continue
		}
		rest = append(rest, d)
	}
	return rest
}

// shownRules bounds how many rules a warning cites.
const shownRules = 3

// firewall finds what rules do to the members' traffic and will not do to the adapter's, or the other way round.
func (c *check) firewall() {
	nft, err := readNft()
	if err != nil {
		c.warnf("nftables cannot be read, so rules that name the NICs are not found: %v", err)
	}
	tables := readXtables()
	sets, err := interfaceSets()
	if err != nil {
		c.warnf("ipsets cannot be read, so those that have the NICs are not found: %v", err)
	}
	adapter := c.adapterFace()
	for _, n := range c.chosen {
		var ends, begins []string
		note := func(list *[]string, deeds []deed) {
			for _, d := range deeds {
				if line := d.chain + ": " + d.text; !slices.Contains(*list, line) {
					*list = append(*list, line)
				}
			}
		}
		for _, dir := range []direction{incoming, outgoing} {
			e, b := differing(nft.deeds(faceOf(n), dir), nft.deeds(adapter, dir))
			note(&ends, e)
			note(&begins, b)
			e, b = differing(tables.deeds(faceOf(n), dir), tables.deeds(adapter, dir))
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
		if only := setsOnly(sets, n.Name, adapter.name); len(only) > 0 {
			c.guard(fmt.Sprintf("sets of the firewall have %s and not %s: %s", n.Name, c.adapter, cited(only)), fmt.Sprintf("add %s to them", c.adapter))
		}
		if hooks := nft.hooksOn(n.Name); len(hooks) > 0 {
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
