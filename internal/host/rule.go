package host

import (
	"bytes"

	"golang.org/x/sys/unix"
)

const fraOutName = 17 // FRA_OIFNAME

// rulesNaming lists the policy rules of both families that match a NIC's name.
func (h *Host) rulesNaming(nic string) ([]object, error) {
	var list []object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		all, err := h.rt.dump(unix.RTM_GETRULE, family, otherHead)
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

func ruleNames(r object, kind uint16, nic string) bool {
	v := r.get(kind)
	return v != nil && string(trimZero(v)) == nic
}

// ruled is a rule for another name.
func ruled(r object, from, to string) object {
	r = r.clone()
	// fib_rule_hdr.flags say whether the NIC was there (FIB_RULE_IIF_DETACHED …); only invert is a user's.
	const invert = 2
	flags := []byte{r.head[8] & invert, 0, 0, 0}
	copy(r.head[8:12], flags)
	for _, kind := range []uint16{unix.FRA_IIFNAME, fraOutName} {
		if ruleNames(r, kind, from) {
			r.set(kind, append([]byte(to), 0))
		}
	}
	return r
}

func hasRule(list []object, r object) bool {
	for _, o := range list {
		if bytes.Equal(ruled(o, "", "").Serialize(), r.Serialize()) {
			return true
		}
	}
	return false
}

// copyRules gives the adapter the rules of a member, at the same priority.
func (h *Host) copyRules(rules []object, nic, adapter string) error {
	have, err := h.rulesNaming(adapter)
	if err != nil {
		return err
	}
	for _, r := range rules {
		next := ruled(r, nic, adapter)
		if hasRule(have, next) {
			continue
		}
		if err := h.change("copy rule of "+nic, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, next); err != nil {
			return err
		}
	}
	return nil
}

// dropRules takes the adapter's copies away. The kernel keeps rules of a link that is gone.
func (h *Host) dropRules(rules []object, nic, adapter string) error {
	have, err := h.rulesNaming(adapter)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if next := ruled(r, nic, adapter); hasRule(have, next) {
			if err := h.change("remove rule of "+adapter, unix.RTM_DELRULE, 0, next); err != nil {
				return err
			}
		}
	}
	return nil
}
