package host

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"
)

const fraOutName = 17 // FRA_OIFNAME

// ruleProtocol marks the rules that are a team's copies (FRA_PROTOCOL; `ip rule` shows "proto 78"): a rule that is the
// same but for this is its administrator's, and stays.
const ruleProtocol = 78

// ruleInverted is FIB_RULE_INVERT: the rule is for what does not match.
const ruleInverted = 2

// rulesNaming lists the policy rules of both families that match a NIC's name.
func (c *conn) rulesNaming(nic string) ([]object, error) {
	var list []object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		all, err := c.dump(unix.RTM_GETRULE, family, otherHead)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.family() == family && (ruleNames(r, unix.FRA_IIFNAME, nic) || ruleNames(r, fraOutName, nic)) {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// ownRules is rulesNaming without the copies of teams: one may name an adapter and this NIC.
func (c *conn) ownRules(nic string) ([]object, error) {
	list, err := c.rulesNaming(nic)
	return slices.DeleteFunc(list, isCopy), err
}

func ruleNames(r object, kind uint16, nics ...string) bool {
	return r.get(kind) != nil && slices.Contains(nics, r.text(kind))
}

// ruled is a rule as it can be sent to the kernel.
func ruled(r object) object {
	r = r.clone()
	// fib_rule_hdr.flags say whether the NIC was there (FIB_RULE_IIF_DETACHED …); only invert is a user's.
	copy(r.head[8:12], []byte{r.head[8] & ruleInverted, 0, 0, 0})
	return r
}

// ruleOf is the copy of a members' rule that is for the adapter.
func ruleOf(r object, members []string, adapter string) object {
	r = ruled(r)
	for _, kind := range []uint16{unix.FRA_IIFNAME, fraOutName} {
		if ruleNames(r, kind, members...) {
			r.set(kind, zeroTerminated(adapter))
		}
	}
	r.set(unix.FRA_PROTOCOL, []byte{ruleProtocol})
	return r
}

// inverted reports whether a rule is for what does not come from, or go to, a NIC. What comes by the adapter would match it.
func inverted(r object) bool { return r.head[8]&ruleInverted != 0 }

func hasRule(list []object, r object) bool {
	return slices.ContainsFunc(list, func(o object) bool { return bytes.Equal(ruled(o).Serialize(), r.Serialize()) })
}

// removeRule removes a rule of a NIC, unless the kernel would remove another: it takes the first that has what is asked for,
// whatever else it has.
func (c *conn) removeRule(r object, nic string) error {
	all, err := c.rulesNaming(nic)
	if err != nil {
		return err
	}
	for _, o := range all {
		if bytes.Equal(ruled(o).Serialize(), r.Serialize()) {
			return c.change("remove rule of "+nic, unix.RTM_DELRULE, 0, r)
		}
		if removedFor(o, r) {
			c.log.Warn("an inverted rule stays, because a rule of the same priority would be removed in its place", "nic", nic, "priority", r.get32(unix.FRA_PRIORITY))
			return nil
		}
	}
	return nil
}

// removedFor reports whether the kernel takes o for r when r is to be removed (rule_find in net/core/fib_rules.c).
func removedFor(o, r object) bool {
	if o.family() != r.family() || o.head[rtTable] != r.head[rtTable] || o.head[rtType] != r.head[rtType] {
		return false
	}
	for _, i := range []int{rtDstLen, rtSrcLen, rtTOS} {
		if r.head[i] != 0 && o.head[i] != r.head[i] {
			return false
		}
	}
	for _, a := range r.attrs {
		kind := a.kind & kindMask
		unset := kind == unix.FRA_PROTOCOL || kind == unix.FRA_SUPPRESS_PREFIXLEN || kind == unix.FRA_SUPPRESS_IFGROUP
		if !unset && !bytes.Equal(o.get(kind), a.value) {
			return false
		}
	}
	return true
}

// copiesFor lists the adapter's copies of rules.
func (c *conn) copiesFor(adapter string) ([]object, error) {
	all, err := c.rulesNaming(adapter)
	return slices.DeleteFunc(all, func(r object) bool { return !isCopy(r) }), err
}

func isCopy(r object) bool { return bytes.Equal(r.get(unix.FRA_PROTOCOL), []byte{ruleProtocol}) }

// copyOf reports whether c is the copy of a rule, whoever were members when it was made.
func copyOf(c, r object) bool {
	bare := func(o object) []byte {
		o = ruled(o)
		o.drop(unix.FRA_IIFNAME, fraOutName, unix.FRA_PROTOCOL)
		return o.Serialize()
	}
	return isCopy(c) && bytes.Equal(bare(c), bare(r))
}

func ruleID(r object) string { return string(ruled(r).Serialize()) }
