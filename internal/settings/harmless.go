// SPDX-License-Identifier: MIT

package settings

import (
	"slices"
	"strings"
)

// harmless settings say when something happens, not which way frames go.
var harmless = []string{"match", "primary_reselect", "gain", "skew", "rebalance", "up_delay", "down_delay",
	"probe_interval", "probe_misses", "admission_wait", "damping", "undamp", "announce_count", "announce_interval",
	"packets_per_member", "weight"}

// Harmless reports whether a change of these settings, as they are typed, cannot cut the host off.
func Harmless(changes map[string]string) bool {
	for typed := range changes {
		if name, _, _ := strings.Cut(Canonical(typed), "."); !slices.Contains(harmless, name) {
			return false
		}
	}
	return true
}
