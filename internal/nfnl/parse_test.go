// SPDX-License-Identifier: MIT

package nfnl

import (
	"testing"

	"nicteam/internal/rtnl"
)

func FuzzNftRule(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 8, 0, 1, 0, 'f', 0, 0, 0, 12, 0, 4, 0, 8, 0, 1, 0, 4, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := rtnl.ParseObject(b, HeaderLen)
		if err != nil {
			return
		}
		tables := &Ruleset{rules: []rule{parseNftRule(o)},
			hooks: append(hooksOfChains([]rtnl.Object{o}), hooksOfFlowtables([]rtnl.Object{o})...),
			sets:  map[setName]*set{{1, "f", "s"}: {read: true, elements: parseNftElements(o), flags: uint32(len(b))}}}
		for _, dir := range []Direction{Incoming, Outgoing} {
			tables.Effects(Iface{Name: "na", Index: 3, Kind: "veth"}, dir)
		}
		tables.HooksOn("na")
		concernsIfaces(b)
		parseIPSet(o)
	})
}

// TestHooksOfFlowtables: not every kernel has flowtables.
func TestHooksOfFlowtables(t *testing.T) {
	name := func(kind uint16, s string) []byte {
		return rtnl.AppendAttributes(nil, []rtnl.Attribute{rtnl.Attr(kind, rtnl.CString(s))})
	}
	devs := append(name(1, "na"), name(nftaDevicePrefix, "eth")...)
	hook := rtnl.AppendAttributes(nil, []rtnl.Attribute{rtnl.Attr(nftaFlowtableDevs, devs)})
	list := hooksOfFlowtables([]rtnl.Object{{Head: []byte{1, 0, 0, 0}, Attrs: []rtnl.Attribute{
		rtnl.Attr(nftaFlowtableTable, rtnl.CString("f")), rtnl.Attr(nftaFlowtableName, rtnl.CString("ft")),
		rtnl.Attr(nftaFlowtableHook, hook),
	}}})
	tables := &Ruleset{hooks: list}
	for nic, want := range map[string]int{"na": 1, "eth7": 1, "nab": 0, "nb": 0} {
		if on := tables.HooksOn(nic); len(on) != want || want == 1 && on[0] != "inet f, flowtable ft" {
			t.Errorf("on %s: %q", nic, on)
		}
	}
}

func FuzzXtable(f *testing.F) {
	f.Add(make([]byte, 300), false)
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		l := xtLayouts[0]
		if six {
			l = xtLayouts[1]
		}
		table := xtable{heads: map[int]string{0: "INPUT"}, blob: b, layout: l}
		table.effects(Iface{Name: "na"}, Incoming)
		table.effects(Iface{Name: "na"}, Outgoing)
	})
}
