package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"nicteam/internal/frame"
	"nicteam/internal/nearest"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// known states the fault of a word that modes does not know.
func known(key string, err error, more string) *fault {
	f := &fault{key: key, what: err.Error(), why: "there is no such choice"}
	var u *spread.UnknownError
	if errors.As(err, &u) {
		f.what, f.fix = fmt.Sprintf("unknown %s %q", strings.ReplaceAll(u.Object, "_", " "), u.Got), "allowed are "+oneOf(u.Known)+more
		if u.Near != "" {
			f.why += fmt.Sprintf("; did you mean %q?", u.Near)
		}
	}
	return f
}

// parseMode reads a mode. The kernel's balance-tlb is elb that leaves receiving alone, and its balance-alb
// elb that does not, unless the user says otherwise; elb by its own name says nothing of it.
func parseMode(s string, c *settings.Config, receiveGiven bool) (modes.Kind, *fault) {
	a, err := modes.ParseAlias(s)
	if err != nil {
		return 0, known("mode", err, "; see: nicteam help modes")
	}
	if a.Kind == modes.ELB && !receiveGiven && !strings.EqualFold(strings.TrimSpace(s), modes.ELB.String()) {
		c.ReceiveBalance = !a.ReceiveBalanceOff
	}
	return a.Kind, nil
}

// receiveFault refuses receive balancing that was asked for in a mode without it. That it is on by default
// means nothing there.
func receiveFault(c settings.Config) *fault {
	if c.Mode == modes.ELB || !c.ReceiveBalance {
		return nil
	}
	return &fault{key: "receive_balance", what: fmt.Sprintf("on is not for mode %v", c.Mode), why: "only elb tells its peers by which NIC to reach it", fix: "use mode elb, or leave receive_balance out"}
}

func parseHash(s string) (spread.HashPolicy, *fault) {
	h, err := spread.ParseHash(s)
	if err != nil {
		return 0, known("hash", err, "")
	}
	return h, nil
}

func parseReselect(s string) (modes.Reselect, *fault) {
	r, err := modes.ParseReselect(s)
	if err != nil {
		return 0, known("primary_reselect", err, "")
	}
	return r, nil
}

func parseMatch(s string) (settings.MatchPolicy, *fault) {
	i, f := parseWord("match", s, []string{settings.MatchName.String(), settings.MatchMAC.String()})
	return settings.MatchPolicy(i), f
}

func triName(o settings.Offload) autoOn { return autoOn(at([]string{"auto", "on", "off"}, int(o))) }

func parseTri(key, s string) (settings.Offload, *fault) {
	if o, ok := triWords[strings.ToLower(s)]; ok {
		return o, nil
	}
	_, f := parseWord(key, s, []string{"auto", "on", "off"})
	return 0, f
}

// parseWord finds s in list.
func parseWord(key, s string, list []string) (int, *fault) {
	for i, w := range list {
		if strings.EqualFold(s, w) {
			return i, nil
		}
	}
	return 0, &fault{key: key, what: fmt.Sprintf("unknown value %q", s), why: "there is no such choice" + nearest.Hint(s, list), fix: "allowed are " + oneOf(list)}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return itoa(int64(i))
}

const addressFix = "write auto, none, or addresses with their prefix length such as 10.0.0.1/24"

func parseAddress(list []string, c *settings.Config) *fault {
	if len(list) == 1 {
		switch strings.ToLower(list[0]) {
		case "auto":
			c.Address = settings.AddressAuto
			return nil
		case "none":
			c.Address = settings.AddressNone
			return nil
		}
	}
	if len(list) == 0 {
		return &fault{key: "address", what: "the list is empty", why: "an adapter without addresses is address none", fix: addressFix}
	}
	c.Address = settings.AddressGiven
	for i, s := range list {
		key := "address"
		if len(list) > 1 {
			key = fmt.Sprintf("address[%d]", i)
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			why := "an address has its prefix length behind a slash"
			if strings.EqualFold(s, "auto") || strings.EqualFold(s, "none") {
				why = strings.ToLower(s) + " stands alone, not in a list of addresses"
			}
			return &fault{key: key, what: fmt.Sprintf("%q is not an address with its prefix length", s), why: why, fix: addressFix}
		}
		c.Addresses = append(c.Addresses, p)
	}
	return nil
}

func addressWords(c settings.Config) []string {
	switch c.Address {
	case settings.AddressAuto:
		return []string{"auto"}
	case settings.AddressNone:
		return []string{"none"}
	}
	list := []string{}
	for _, p := range c.Addresses {
		list = append(list, p.String())
	}
	return list
}

func parseGateway(s string, c *settings.Config) *fault {
	if s == "" {
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return &fault{key: "gateway", what: fmt.Sprintf("%q is not an address", s), why: "a gateway is one IPv4 or IPv6 address without prefix length or zone", fix: "write it as 10.0.0.254"}
	}
	c.Gateway = a
	return nil
}

func parseMAC(s string, c *settings.Config) *fault {
	switch strings.ToLower(s) {
	case "keep":
		c.MACPolicy = settings.MACKeep
		return nil
	case "new":
		c.MACPolicy = settings.MACNew
		return nil
	}
	m, err := frame.ParseMAC(s)
	if err != nil {
		return &fault{key: "mac", what: fmt.Sprintf("%q is not a MAC", s), why: "a MAC has six octets", fix: "write keep, new, or a MAC such as 02:00:00:00:00:01"}
	}
	c.MACPolicy, c.MAC = settings.MACGiven, m
	return nil
}

func macWord(c settings.Config) string {
	switch c.MACPolicy {
	case settings.MACKeep:
		return "keep"
	case settings.MACNew:
		return "new"
	}
	return c.MAC.String()
}
