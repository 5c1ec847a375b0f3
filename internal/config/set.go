package config

import (
	"fmt"
	"strings"

	"github.com/go-viper/mapstructure/v2"

	"nicteam/team"
)

// Set returns c with one live setting changed, validated. Keys are those of a file, active, and
// weight.NIC; the kernel's names of them do too. c itself is not changed. An empty value or none
// takes primary and active back. Its errors are *team.Problem.
func Set(c team.Config, key, value string) (team.Config, error) {
	next, f := set(c, key, value)
	if f == nil {
		f = validate(next)
	}
	if f != nil {
		return c, f.problem("")
	}
	return next, nil
}

func set(c team.Config, key, value string) (team.Config, *fault) {
	d := written(c)
	if strings.HasPrefix(strings.ToLower(key), "weight.") {
		return setWeight(c, key, value)
	}
	k := canonical(key)
	if (k == "active" || k == "primary") && value == "none" && !contains(memberNames(c), "none") {
		value = ""
	}
	if k == "active" {
		d.active = value
		return d.config()
	}
	s := find(settings, k)
	switch {
	case s == nil && k == "weight":
		return c, &fault{key: key, what: "names no NIC", why: "a weight belongs to a NIC", fix: "write weight.NIC=" + value}
	case s == nil:
		list := LiveKeys()
		return c, &fault{what: fmt.Sprintf("unknown setting %q", key), why: "there is no such setting" + meant(k, list), fix: "settings are " + oneOf(list)}
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

func setWeight(c team.Config, key, value string) (team.Config, *fault) {
	nic := key[len("weight."):]
	w, f := parseWeight(key, nic, value)
	if f != nil {
		return c, f
	}
	c.Members = append([]team.MemberConfig(nil), c.Members...)
	for i := range c.Members {
		if c.Members[i].Name == nic {
			c.Members[i].Weight = w
			return c, nil
		}
	}
	names := memberNames(c)
	return c, &fault{kind: team.NotFound, key: key, what: fmt.Sprintf("%q is not a member", nic), why: "the members are " + orNone(names) + meant(nic, names), fix: "name a member"}
}
