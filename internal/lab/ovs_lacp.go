// SPDX-License-Identifier: MIT

package lab

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// OVSBond is ports of an OVS that are one link by LACP. The zero value of each field but Ports is a default. A bond of
// one port has its NIC's name and is, as the switch says by LACP, individual.
type OVSBond struct {
	Name    string
	Ports   []string // NICs of the host
	Passive bool     // LACP_Activity: passive
	Fast    bool     // LACP_Timeout: short
	Key     uint16   // the switch's own choice
	System  string   // MAC, the bridge's
}

// Bridge makes a bridge of bonds and of further ports, which speak no LACP.
func (o *OVS) Bridge(ctx context.Context, name string, bonds []OVSBond, ports ...string) error {
	args := []string{"add-br", name, "--", "set", "bridge", name, "datapath_type=netdev"}
	for _, b := range bonds {
		args = append(args, b.args(name)...)
	}
	for _, p := range ports {
		args = append(args, "--", "add-port", name, p)
	}
	return o.Set(ctx, args...)
}

// args are further commands of ovs-vsctl.
func (b OVSBond) args(bridge string) []string {
	args := append([]string{"--", "add-bond", bridge, b.Name}, b.Ports...)
	if len(b.Ports) == 1 {
		args = []string{"--", "add-port", bridge, b.Ports[0]}
	} else {
		args = append(args, "bond_mode=balance-tcp")
	}
	lacp, time := "active", "slow"
	if b.Passive {
		lacp = "passive"
	}
	if b.Fast {
		time = "fast"
	}
	args = append(args, "lacp="+lacp, "other_config:lacp-time="+time)
	if b.System != "" {
		args = append(args, `other_config:lacp-system-id="`+b.System+`"`)
	}
	if b.Key != 0 {
		for _, p := range b.Ports {
			args = append(args, "--", "set", "interface", p, fmt.Sprintf("other_config:lacp-aggregation-key=%d", b.Key))
		}
	}
	return args
}

// OVSMember is a bond's member as the switch sees it.
type OVSMember struct {
	Name           string
	Receive        string // current, expired, defaulted
	Attached       bool   // in the bond's aggregator
	Enabled        bool   // frames may go by it
	Actor, Partner OVSInfo
	// Since the bond was made.
	Sent, Received uint64 // LACPDUs
	Bad            uint64 // malformed received ones
	Expired        uint64 // times that the partner expired
	Defaulted      uint64 // times that it was defaulted
	Carrier        uint64 // how often the carrier changed
}

// OVSInfo is one end of a link as the switch says it.
type OVSInfo struct {
	System             string
	Priority, Key      uint16
	Port, PortPriority uint16
	State              string // flags by the switch's names, a blank between them
}

// Works reports whether both ends are collecting and distributing, and the switch has enabled the member.
func (m *OVSMember) Works() bool {
	both := func(i OVSInfo) bool {
		return strings.Contains(i.State, "synchronized") && strings.Contains(i.State, "collecting") &&
			strings.Contains(i.State, "distributing")
	}
	return m.Receive == "current" && m.Attached && m.Enabled && both(m.Actor) && both(m.Partner)
}

// LACP returns the state of a bond's members.
func (o *OVS) LACP(ctx context.Context, bond string) ([]OVSMember, error) {
	shown, err := o.Ask(ctx, "lacp/show", bond)
	if err != nil {
		return nil, err
	}
	stats, err := o.Ask(ctx, "lacp/show-stats", bond)
	if err != nil {
		return nil, err
	}
	return parseOVS(shown, stats), nil
}

// Bond returns the output of bond/show.
func (o *OVS) Bond(ctx context.Context, bond string) (string, error) {
	return o.Ask(ctx, "bond/show", bond)
}

// parseOVS reads the output of lacp/show and lacp/show-stats for one bond.
func parseOVS(shown, stats string) (members []OVSMember) {
	var m *OVSMember
	for key, value := range fieldsOf(shown) {
		switch subject, field, _ := strings.Cut(key, " "); {
		case key == "member":
			name, state, _ := strings.Cut(value, ": ")
			receive, attached, _ := strings.Cut(state, " ")
			members = append(members, OVSMember{Name: name, Receive: receive, Attached: attached == "attached"})
			m = &members[len(members)-1]
		case m == nil:
		case key == "may_enable":
			m.Enabled = value == "true"
		case subject == "actor":
			m.Actor.set(field, value)
		case subject == "partner":
			m.Partner.set(field, value)
		}
	}
	m = nil
	for key, value := range fieldsOf(stats) {
		if key == "member" {
			m = nil
			for i := range members {
				if members[i].Name == strings.TrimSuffix(value, ":") {
					m = &members[i]
				}
			}
			continue
		}
		if m == nil {
			continue
		}
		n, _ := strconv.ParseUint(value, 10, 64)
		switch key {
		case "TX PDUs":
			m.Sent = n
		case "RX PDUs":
			m.Received = n
		case "RX Bad PDUs":
			m.Bad = n
		case "Link Expired":
			m.Expired = n
		case "Link Defaulted":
			m.Defaulted = n
		case "Carrier Status Changed":
			m.Carrier = n
		}
	}
	return members
}

// fieldsOf are the lines "key: value".
func fieldsOf(s string) func(func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for line := range strings.Lines(s) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !yield(key, value) {
				return
			}
		}
	}
}

func (i *OVSInfo) set(field, value string) {
	n, _ := strconv.ParseUint(value, 10, 16)
	switch field {
	case "sys_id":
		i.System = value
	case "sys_priority":
		i.Priority = uint16(n)
	case "port_id":
		i.Port = uint16(n)
	case "port_priority":
		i.PortPriority = uint16(n)
	case "key":
		i.Key = uint16(n)
	case "state":
		i.State = value
	}
}
