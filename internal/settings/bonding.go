// SPDX-License-Identifier: MIT

package settings

import (
	"slices"
	"strconv"
	"strings"

	"nicteam/monitor"
)

// Options of bonding that link_watch stands for (Documentation/networking/bonding.rst).
const (
	miimon   = "miimon"        // how often the carrier is looked at
	arpHosts = "arp_ip_target" // whom each NIC asks by ARP …
	ndHosts  = "ns_ip6_target" // … and by neighbour discovery
)

// KernelNames are bonding's names of a setting.
func (s *Setting) KernelNames() []string {
	if s.Kernel == "" {
		return nil
	}
	return strings.Split(s.Kernel, ", ")
}

func (s *Setting) hasKernelName(name string) bool { return slices.Contains(s.KernelNames(), name) }

// FromBonding returns the value of the setting that typed names, for a value that was given by that name: bonding's
// durations are numbers of milliseconds, and it has the targets of each protocol apart. was is the value so far.
func FromBonding(typed, value, was string) string {
	name := strings.ReplaceAll(strings.ToLower(typed), "-", "_")
	s := Find(Canonical(name))
	if s == nil || !s.hasKernelName(name) {
		return value
	}
	switch n, err := strconv.ParseUint(value, 10, 32); {
	case name == miimon && err == nil && n > 0:
		return monitor.KindCarrier
	case name == arpHosts:
		return joinWatches(monitor.KindARP, value, was)
	case name == ndHosts:
		return joinWatches(monitor.KindND, value, was)
	case s.Type == Duration && err == nil:
		return value + "ms"
	}
	return value
}

// joinWatches replaces the targets of one protocol in a list of link watches; those of the other stay.
func joinWatches(kind, targets, was string) string {
	var list []string
	for _, s := range asList(was) {
		if w, err := monitor.ParseSpec(s); err == nil && w.IP.IsValid() && w.Kind != kind {
			list = append(list, s)
		}
	}
	return strings.Join(append(list, asList(targets)...), ",")
}

// OneKey reports whether two names that people typed, of one setting, may stand beside each other.
func OneKey(a, b string) bool {
	targets := []string{arpHosts, ndHosts}
	return a != b && slices.Contains(targets, strings.ToLower(a)) && slices.Contains(targets, strings.ToLower(b))
}
