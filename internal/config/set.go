package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"

	"nicteam/internal/nearest"
	"nicteam/internal/settings"
)

// Set returns c with one live setting changed, validated. Keys are those of a file, active,
// weight.NIC and port_priority.NIC; the kernel's names of them do too. c itself is not changed. An empty value or none
// takes primary and active back. Its errors are *api.Problem.
func Set(c settings.Config, key, value string) (settings.Config, error) {
	next, f := set(c, key, value)
	if f == nil {
		f = validate(next)
	}
	if f != nil {
		return c, f.problem("")
	}
	return next, nil
}

// SetAll is Set of several settings, all or none of them. The mode is changed first, for what else is allowed depends on
// it. It returns what was set, in order, as KEY=VALUE.
func SetAll(c settings.Config, settings map[string]string) (next settings.Config, done []string, err error) {
	keys := slices.SortedFunc(maps.Keys(settings), func(a, b string) int {
		if am, bm := canonical(a) == "mode", canonical(b) == "mode"; am != bm {
			if am {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	next = c
	for _, k := range keys {
		if next, err = Set(next, k, settings[k]); err != nil {
			return c, nil, err
		}
		done = append(done, k+"="+settings[k])
	}
	return next, done, nil
}

func set(c settings.Config, key, value string) (settings.Config, *fault) {
	d := written(c)
	k := canonical(key)
	if isLACP(k) {
		d.lacpGiven = k
	}
	for _, per := range []string{"weight", portPriority} {
		if strings.HasPrefix(k, per+".") {
			return setMember(c, d, per, key, value)
		}
	}
	if (k == "active" || k == "primary") && value == "none" && !contains(memberNames(c), "none") {
		value = ""
	}
	if k == "active" {
		d.active = value
		return d.config()
	}
	s := find(rows, k)
	switch {
	case s == nil && (k == "weight" || k == portPriority):
		return c, &fault{key: key, what: "names no NIC", why: "a " + strings.ReplaceAll(k, "_", " ") + " belongs to a NIC", fix: "write " + k + ".NIC=" + value}
	case s == nil:
		list := LiveKeys()
		return c, &fault{what: fmt.Sprintf("unknown setting %q", key), why: "there is no such setting" + nearest.Hint(k, list), fix: "settings are " + oneOf(list)}
	case !s.live:
		f := &fault{key: k, what: "cannot be changed while the team runs", why: "it is part of what the team was made with", fix: "nicteam delete the team and create it anew"}
		if k == "members" {
			f.fix = "nicteam add TEAM NIC, or nicteam remove TEAM NIC"
		}
		return c, f
	}
	v, f := parseText(s, value)
	if f != nil {
		return c, f
	}
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: &d, ErrorUnused: true, ZeroFields: true, DecodeHook: mapstructure.DecodeHookFuncType(lenient)})
	if err == nil {
		err = dec.Decode(map[string]any{s.key: v})
	}
	d.receiveGiven = k == "receive_balance"
	if err != nil {
		return c, &fault{key: k, what: fmt.Sprintf("%q cannot be taken", value), why: err.Error(), fix: "give " + s.shape.String()}
	}
	return d.config()
}

// setMember changes a setting of one NIC; key is as it was typed, for a NIC's name may have capitals.
func setMember(c settings.Config, d document, per, key, value string) (settings.Config, *fault) {
	_, nic, _ := strings.Cut(key, ".")
	var w float64
	var p int
	var f *fault
	if per == "weight" {
		w, f = parseWeight(key, nic, value)
	} else if p, f = parsePriority(key, nic, value); f == nil {
		f = lacpFault(c, key)
	}
	if f != nil {
		return c, f
	}
	c.Members = append([]settings.MemberConfig(nil), c.Members...)
	for i := range c.Members {
		if c.Members[i].Name != nic {
			continue
		}
		if per == "weight" {
			c.Members[i].Weight = w
		} else {
			c.Members[i].PortPriority = uint16(p)
		}
		return c, nil
	}
	return c, stranger(key, nic, &d)
}
