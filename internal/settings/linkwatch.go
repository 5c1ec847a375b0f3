// SPDX-License-Identifier: MIT

package settings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nicteam/monitor"
)

// maxWatches bounds link_watch: each target is asked by each member.
const maxWatches = 16

// linkWatch is a list of link watches; an address alone stands for arp or nd.
var linkWatch = func() value {
	v := value{Type: List,
		get:  func(c *Config) any { return c.LinkWatch },
		json: func(c *Config) any { return strings.Join(c.LinkWatch, ",") },
		set: func(c *Config, v any) *Fault {
			c.LinkWatch = nil
			for _, s := range asList(v) {
				if s = canonicalWatch(s); !slices.Contains(c.LinkWatch, s) {
					c.LinkWatch = append(c.LinkWatch, s)
				}
			}
			return nil
		},
		check: checkWatches,
	}
	v.Says = map[string]string{}
	for _, k := range monitor.WatchKinds() {
		word := k.Name
		if k.Address == "" {
			v.Words = append(v.Words, word)
		} else {
			word += ":"
			v.Stems = append(v.Stems, word)
		}
		v.Says[word] = k.Help
	}
	v.Values = watchUsages()
	return v
}()

// watchUsages says how link watches are written.
func watchUsages() string {
	var list []string
	for _, k := range monitor.WatchKinds() {
		list = append(list, k.Usage())
	}
	return OneOf(list)
}

// canonicalWatch returns a link watch in one spelling; what is none stays for the check.
func canonicalWatch(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if ip, err := netip.ParseAddr(s); err == nil {
		s = askKind(ip) + ":" + s
	}
	if w, err := monitor.ParseSpec(s); err == nil {
		return w.String()
	}
	return s
}

// askKind is the link watch that asks an address.
func askKind(ip netip.Addr) string {
	if ip.Is6() && !ip.Is4In6() {
		return monitor.KindND
	}
	return monitor.KindARP
}

func checkWatches(c *Config) *Fault {
	switch n := len(c.LinkWatch); {
	case n == 0:
		return &Fault{What: "no link watch given", Why: "without one the team does not know which members work",
			Fix: "write auto"}
	case n > maxWatches:
		return &Fault{What: fmt.Sprintf("%d link watches are too many", n),
			Why: fmt.Sprintf("each NIC asks each target; at most %d are possible", maxWatches),
			Fix: "name fewer targets"}
	}
	for i, s := range c.LinkWatch {
		f := badWatch(c, s)
		if f != nil {
			f.Key = entry(i, len(c.LinkWatch))
			return f
		}
	}
	return nil
}

// badWatch returns the fault of a link watch.
func badWatch(c *Config, s string) *Fault {
	w, err := monitor.ParseSpec(s)
	kind, _, _ := strings.Cut(s, ":")
	var kinds []string
	for _, k := range monitor.WatchKinds() {
		kinds = append(kinds, k.Name)
	}
	switch {
	case err != nil && !slices.Contains(kinds, kind):
		f := unknownWord(s, kinds)
		f.Fix = "use " + watchUsages()
		return f
	case err != nil:
		why := strings.TrimPrefix(err.Error(), fmt.Sprintf("link watch %q: ", s))
		return &Fault{What: fmt.Sprintf("%q is not a link watch", s), Why: why, Fix: "use " + watchUsages()}
	case c.Address != AddressGiven || !w.IP.IsValid():
		return nil
	}
	if why := NobodyAt(w.IP, c.Addresses); why != "" {
		return &Fault{What: fmt.Sprintf("%q asks nobody", s), Why: why, Fix: WatchFix}
	}
	return nil
}

// WatchFix is the fix of a target that cannot answer.
const WatchFix = "name a router, or a host that is always on"

// NobodyAt says why no other host can answer for an address, on an adapter that has these addresses; "": one can.
func NobodyAt(ip netip.Addr, own []netip.Prefix) string {
	for _, p := range own {
		switch {
		case p.Addr() == ip:
			return "it is the adapter's own address"
		case ip.Is4() && p.Contains(ip) && p.Bits() < 31 && (ip == p.Masked().Addr() || ip == broadcast(p)):
			return fmt.Sprintf("in %v it is the address of no single host", p.Masked())
		}
	}
	return ""
}

// Watches returns the link watches; those that are none are left out.
func (c *Config) Watches() (list []monitor.Spec) {
	for _, s := range c.LinkWatch {
		if w, err := monitor.ParseSpec(s); err == nil {
			list = append(list, w)
		}
	}
	return list
}

// patience is the time without an answer below which a pause of a healthy host, switch or target counts as a failure:
// a busy scheduler lets a process wait for some 10 ms.
const patience = 30 * time.Millisecond

// Costs says what allowed values cost that few would want, one sentence each.
func (c *Config) Costs() (list []string) {
	if d := c.ProbeInterval * time.Duration(c.ProbeMisses); d < patience {
		list = append(list,
			fmt.Sprintf("probe_interval=%v with probe_misses=%d: every NIC sends %d frames a second to "+
				"every target, and whatever pauses for %v, such as a busy host, may count as a failure",
				c.ProbeInterval, c.ProbeMisses, time.Second/c.ProbeInterval, d))
	}
	return list
}
