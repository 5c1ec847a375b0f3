// SPDX-License-Identifier: MIT

package rtnl

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"
)

const fraOutName = 17 // FRA_OIFNAME

// RuleProtocol marks a team's copies of rules (FRA_PROTOCOL; `ip rule` shows "proto 78"). A rule that differs only in
// this is the administrator's and stays.
const RuleProtocol = 78

// ruleInverted is FIB_RULE_INVERT: the rule applies to what does not match.
const ruleInverted = 2

// Rules lists the policy rules of both families.
func (c *Conn) Rules() ([]Object, error) {
	var list []Object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		all, err := c.Dump(unix.RTM_GETRULE, family, HeaderLen)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.Family() == family {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// RulesNaming lists the policy rules of both families that name a NIC.
func (c *Conn) RulesNaming(nic string) ([]Object, error) {
	all, err := c.Rules()
	return RulesOf(all, nic), err
}

// RulesOf returns those of these rules that name a NIC.
func RulesOf(all []Object, nic string) (list []Object) {
	for _, r := range all {
		if ruleNames(r, unix.FRA_IIFNAME, nic) || ruleNames(r, fraOutName, nic) {
			list = append(list, r)
		}
	}
	return list
}

// OwnRules is RulesNaming without copies of teams: a copy may name both an adapter and this NIC.
func (c *Conn) OwnRules(nic string) ([]Object, error) {
	all, err := c.Rules()
	return OwnRulesOf(all, nic), err
}

// OwnRulesOf returns what OwnRules does of these rules.
func OwnRulesOf(all []Object, nic string) []Object {
	return slices.DeleteFunc(RulesOf(all, nic), isCopy)
}

func ruleNames(r Object, kind uint16, nics ...string) bool {
	return r.Get(kind) != nil && slices.Contains(nics, r.Text(kind))
}

// RuleRequest returns the message that adds or removes a rule.
func RuleRequest(r Object) Object {
	r = r.Clone()
	// fib_rule_hdr.flags are state (FIB_RULE_IIF_DETACHED …) except FIB_RULE_INVERT.
	copy(r.Head[8:12], []byte{r.Head[8] & ruleInverted, 0, 0, 0})
	return r
}

// RuleFor returns the copy of a member's rule for the adapter.
func RuleFor(r Object, members []string, adapter string) Object {
	r = RuleRequest(r)
	for _, kind := range []uint16{unix.FRA_IIFNAME, fraOutName} {
		if ruleNames(r, kind, members...) {
			r.Set(kind, CString(adapter))
		}
	}
	r.Set(unix.FRA_PROTOCOL, []byte{RuleProtocol})
	return r
}

// IsInverted reports whether a rule applies to traffic that does not use the NIC. The adapter's traffic would match it.
func IsInverted(r Object) bool { return r.Head[8]&ruleInverted != 0 }

func HasRule(list []Object, r Object) bool {
	return slices.ContainsFunc(list,
		func(o Object) bool { return bytes.Equal(RuleRequest(o).Serialize(), r.Serialize()) })
}

// RemoveRule removes a rule of a NIC, unless the kernel would remove another one: it removes the first rule that has
// all requested attributes.
func (c *Conn) RemoveRule(r Object, nic string) error {
	all, err := c.RulesNaming(nic)
	if err != nil {
		return err
	}
	for _, o := range all {
		if bytes.Equal(RuleRequest(o).Serialize(), r.Serialize()) {
			return c.Change("remove rule of "+nic, unix.RTM_DELRULE, 0, r)
		}
		if removedFor(o, r) {
			c.log.Warn("inverted rule stays: the kernel would remove another one of its priority", "nic", nic,
				"priority", r.Get32(unix.FRA_PRIORITY))
			return nil
		}
	}
	return nil
}

// removedFor reports whether the kernel would remove o when asked to remove r (rule_find in net/core/fib_rules.c).
func removedFor(o, r Object) bool {
	if o.Family() != r.Family() || o.Head[rtTable] != r.Head[rtTable] || o.Head[rtType] != r.Head[rtType] {
		return false
	}
	for _, i := range []int{rtDstLen, rtSrcLen, rtTOS} {
		if r.Head[i] != 0 && o.Head[i] != r.Head[i] {
			return false
		}
	}
	for _, a := range r.Attrs {
		kind := a.Kind & KindMask
		unset := kind == unix.FRA_PROTOCOL || kind == unix.FRA_SUPPRESS_PREFIXLEN || kind == unix.FRA_SUPPRESS_IFGROUP
		if !unset && !bytes.Equal(o.Get(kind), a.Value) {
			return false
		}
	}
	return true
}

// RuleCopies lists the adapter's copies of rules.
func (c *Conn) RuleCopies(adapter string) ([]Object, error) {
	all, err := c.RulesNaming(adapter)
	return slices.DeleteFunc(all, func(r Object) bool { return !isCopy(r) }), err
}

func isCopy(r Object) bool { return bytes.Equal(r.Get(unix.FRA_PROTOCOL), []byte{RuleProtocol}) }

// IsCopyOf reports whether c is a copy of r, whatever NICs were members when it was made.
func IsCopyOf(c, r Object) bool {
	bare := func(o Object) []byte {
		o = RuleRequest(o)
		o.Drop(unix.FRA_IIFNAME, fraOutName, unix.FRA_PROTOCOL)
		return o.Serialize()
	}
	return isCopy(c) && bytes.Equal(bare(c), bare(r))
}

func RuleID(r Object) string { return string(RuleRequest(r).Serialize()) }
