// SPDX-License-Identifier: MIT

package daemon

import (
	"nicteam/internal/settings"
	"nicteam/modes"
)

// setEffect says what the change of a setting does to connections: none ends them, but some pause them, or need
// something of the switch.
func setEffect(key string, was, next *settings.Config) string {
	switch key {
	case "mode":
		return modeEffect(was, next)
	case "balance":
		if next.Balance {
			return "go on, by all NICs again"
		}
		return "go on by one NIC; the others stand by"
	case "hash", "packets_per_member":
		return "go on; many take another NIC"
	case "weight", "gain", "skew", "rebalance":
		return "go on; some take another NIC"
	case "receive_balance":
		if next.ReceiveBalance {
			return "go on; peers are told one after the other which NIC to send to"
		}
		return "go on; peers are told to send to one NIC"
	case "primary", "primary_reselect", "active":
		return "go on, by another NIC if another one becomes active"
	case "mtu":
		if next.MTU < was.MTU || was.MTU == 0 {
			return "go on; those with larger frames stall until they notice"
		}
		return "go on; larger frames need a switch that passes them"
	case "datapath":
		return "go on"
	case "min_members":
		return "go on, unless too few NICs are usable: then the team is down"
	case "lacp_rate", "lacp_active", "lacp_fallback", "ad_select", "lacp_system", "lacp_system_priority", "lacp_key",
		"port_priority":
		return "may pause until the partner has agreed by LACP"
	case "link_watch", "watch_policy", "probe_interval", "probe_misses", "admission_wait", "damping", "undamp",
		"up_delay", "down_delay":
		return "go on; it decides which NICs are used"
	}
	return "go on"
}

// modeEffect says what a change of mode needs and does.
func modeEffect(was, next *settings.Config) string {
	if !next.Balance {
		return "go on by one NIC, as balance is off"
	}
	switch next.Mode {
	case modes.LACP:
		if next.LACP.Fallback {
			return "one NIC carries them until the switch answers by LACP"
		}
		return "pause until the switch answers by LACP; without its answer nothing passes"
	case modes.XOR, modes.RoundRobin:
		return "go on if the switch has these ports in a static LAG; else it sees one MAC at many ports"
	case modes.Broadcast:
		return "go on; each NIC sends a copy of every frame"
	case modes.ActiveBackup:
		return "go on by one NIC; the others stand by"
	}
	if was.Mode == modes.LACP || was.Mode == modes.XOR || was.Mode == modes.RoundRobin {
		return "go on; the switch must no longer have these ports in a LAG"
	}
	return "go on, by all NICs"
}
