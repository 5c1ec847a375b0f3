// SPDX-License-Identifier: MIT

package nfnl

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// Ruleset is the namespace's nftables ruleset. Rules of iptables-nft are part of it. The program nft is not needed.
type Ruleset struct {
	rules []rule // those that depend on an interface
	hooks []hookedChain
	sets  map[setName]*set
}

// setName is a set's name with its table.
type setName struct {
	family      byte
	table, name string
}

type rule struct {
	family       byte
	table, chain string
	exprs        []expr
}

type expr struct {
	name string
	data rtnl.Object
	raw  []byte
}

// set is a set or map. Its elements are read on first use.
type set struct {
	flags    uint32
	elements []element
	read     bool
}

type element struct {
	key, end []byte // end: only in sets of concatenated intervals
	closes   bool   // first key behind an interval
	data     []byte
}

// hookedChain is a chain or flowtable with a device.
type hookedChain struct {
	where string // such as: netdev f, chain i
	names []string
}

// Attributes that x/sys has no names for.
const (
	nftaHookDevs        = 4  // NFTA_HOOK_DEVS
	nftaDevicePrefix    = 2  // NFTA_DEVICE_PREFIX
	nftaFlowtableTable  = 1  // NFTA_FLOWTABLE_TABLE
	nftaFlowtableName   = 2  // NFTA_FLOWTABLE_NAME
	nftaFlowtableHook   = 3  // NFTA_FLOWTABLE_HOOK
	nftaFlowtableDevs   = 3  // NFTA_FLOWTABLE_HOOK_DEVS
	nftaSetElemKeyEnd   = 10 // NFTA_SET_ELEM_KEY_END
	nftMsgGetSet        = 10
	nftMsgGetSetElement = 13
)

var nftFamilies = map[byte]string{1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}

// TablePrefix begins the names of this program's tables.
const TablePrefix = "nicteam_"

func nftDump(message int, keep func(rtnl.Object) bool) ([]rtnl.Object, error) {
	list, err := dumpObjects(unix.NFNL_SUBSYS_NFTABLES, message, unix.AF_UNSPEC, keep)
	// A kernel without nftables has no rules.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) ||
		errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	return list, err
}

// ReadRuleset reads rules, sets and hooks.
func ReadRuleset() (*Ruleset, error) {
	t := &Ruleset{sets: map[setName]*set{}}
	rules, err := nftDump(unix.NFT_MSG_GETRULE, func(o rtnl.Object) bool { return parseNftRule(o).matchesIface() })
	if err != nil {
		return t, err
	}
	for _, o := range rules {
		t.rules = append(t.rules, parseNftRule(o))
	}
	chains, err := nftDump(unix.NFT_MSG_GETCHAIN, nil)
	if err != nil {
		return t, err
	}
	flowtables, err := nftDump(unix.NFT_MSG_GETFLOWTABLE, nil)
	if err != nil {
		return t, err
	}
	t.hooks = append(hooksOfChains(chains), hooksOfFlowtables(flowtables)...)
	sets, err := nftDump(nftMsgGetSet, nil)
	for _, o := range sets {
		name := setName{o.Family(), o.Text(unix.NFTA_SET_TABLE), o.Text(unix.NFTA_SET_NAME)}
		t.sets[name] = &set{flags: o.GetBE32(unix.NFTA_SET_FLAGS)}
	}
	return t, err
}

func parseNftRule(o rtnl.Object) rule {
	r := rule{family: o.Family(), table: o.Text(unix.NFTA_RULE_TABLE), chain: o.Text(unix.NFTA_RULE_CHAIN)}
	for _, a := range o.Nest(unix.NFTA_RULE_EXPRESSIONS).Attrs {
		e := rtnl.ParseNested(a.Value)
		raw := e.Get(unix.NFTA_EXPR_DATA)
		r.exprs = append(r.exprs, expr{e.Text(unix.NFTA_EXPR_NAME), rtnl.ParseNested(raw), raw})
	}
	return r
}

// set returns a set with its elements, nil if there is none.
func (t *Ruleset) set(family byte, table, name string) *set {
	s := t.sets[setName{family, table, name}]
	if s == nil || s.read {
		return s
	}
	s.read = true
	ask := rtnl.Object{}
	ask.Set(unix.NFTA_SET_ELEM_LIST_TABLE, rtnl.CString(table))
	ask.Set(unix.NFTA_SET_ELEM_LIST_SET, rtnl.CString(name))
	list, err := dumpObjects(unix.NFNL_SUBSYS_NFTABLES, nftMsgGetSetElement, family, nil, ask.Attrs...)
	if err != nil {
		return s // removed meanwhile
	}
	for _, o := range list {
		s.elements = append(s.elements, parseNftElements(o)...)
	}
	return s
}

func parseNftElements(o rtnl.Object) (list []element) {
	for _, a := range o.Nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS).Attrs {
		e := rtnl.ParseNested(a.Value)
		list = append(list, element{
			key:    e.Nest(unix.NFTA_SET_ELEM_KEY).Get(unix.NFTA_DATA_VALUE),
			end:    e.Nest(nftaSetElemKeyEnd).Get(unix.NFTA_DATA_VALUE),
			data:   e.Get(unix.NFTA_SET_ELEM_DATA),
			closes: e.GetBE32(unix.NFTA_SET_ELEM_FLAGS)&unix.NFT_SET_ELEM_INTERVAL_END != 0,
		})
	}
	return list
}

func hooksOfChains(chains []rtnl.Object) (hooks []hookedChain) {
	for _, o := range chains {
		hook := o.Nest(unix.NFTA_CHAIN_HOOK)
		names := devices(hook.Nest(nftaHookDevs))
		if dev := hook.Text(unix.NFTA_HOOK_DEV); dev != "" && !slices.Contains(names, dev) {
			names = append(names, dev)
		}
		table := o.Text(unix.NFTA_CHAIN_TABLE)
		if len(names) == 0 || strings.HasPrefix(table, TablePrefix) {
			continue
		}
		hooks = append(hooks, hookedChain{nftFamilies[o.Family()] + " " + table + ", chain " +
			o.Text(unix.NFTA_CHAIN_NAME), names})
	}
	return hooks
}

func hooksOfFlowtables(list []rtnl.Object) (hooks []hookedChain) {
	for _, o := range list {
		if names := devices(o.Nest(nftaFlowtableHook).Nest(nftaFlowtableDevs)); len(names) > 0 {
			where := nftFamilies[o.Family()] + " " + o.Text(nftaFlowtableTable) + ", flowtable " +
				o.Text(nftaFlowtableName)
			hooks = append(hooks, hookedChain{where, names})
		}
	}
	return hooks
}

// devices reads a list of device names; a prefix (Linux 6.16) ends with "*".
func devices(o rtnl.Object) (names []string) {
	for _, a := range o.Attrs {
		name := unix.ByteSliceToString(a.Value)
		if a.Kind&rtnl.KindMask == nftaDevicePrefix {
			name += "*"
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// HooksOn returns the chains and flowtables on a device.
func (t *Ruleset) HooksOn(nic string) (where []string) {
	for _, h := range t.hooks {
		if slices.ContainsFunc(h.names, func(name string) bool {
			prefix, any := strings.CutSuffix(name, "*")
			return name == nic || any && strings.HasPrefix(nic, prefix)
		}) {
			where = append(where, h.where)
		}
	}
	return where
}

func (r rule) matchesIface() bool {
	return slices.ContainsFunc(r.exprs, func(e expr) bool {
		load := Iface{}.meta
		if e.name == "fib" {
			load = Iface{}.fib
		} else if e.name != "meta" {
			return false
		}
		_, in := load(e.data, Incoming)
		_, out := load(e.data, Outgoing)
		return in || out
	})
}

// concernsIfaces reports whether nftables events concern hooks, or rules that depend on an interface.
func concernsIfaces(b []byte) bool {
	return rtnl.AnyMessage(b, func(m rtnl.Message) bool {
		switch m.Kind & 0xff {
		case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_NEWFLOWTABLE, unix.NFT_MSG_DELFLOWTABLE,
			unix.NFT_MSG_DELTABLE:
			return true
		case unix.NFT_MSG_NEWRULE, unix.NFT_MSG_DELRULE:
			o, err := rtnl.ParseObject(m.Body, HeaderLen)
			return err == nil && parseNftRule(o).matchesIface()
		}
		return false
	})
}

// nftGroup is NFNLGRP_NFTABLES.
const nftGroup = 7

// WatchRuleset signals changes of nftables that may concern interfaces. A kernel without nftables has none.
func WatchRuleset(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	f, err := rtnl.Subscribe(unix.NETLINK_NETFILTER, nftGroup)
	if err != nil {
		return changed
	}
	go rtnl.ReadEvents(ctx, f, func(b []byte) {
		if concernsIfaces(b) {
			rtnl.Signal(changed)
		}
	})
	return changed
}

// TeamTable returns the name of a team's table. nft's identifiers have neither dash nor dot.
func TeamTable(team string) string {
	id := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}
	return TablePrefix + strings.Map(id, team)
}
