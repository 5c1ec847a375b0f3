// SPDX-License-Identifier: MIT

package api

import "slices"

// Plan is what a change would do, part of nicteam.created/v1 and nicteam.result/v1. Lists are empty, not null.
type Plan struct {
	Change  string       `json:"change"` // "create team0", "add eth3 to team0", …
	NICs    []PlanNIC    `json:"nics"`
	Adapter *PlanAdapter `json:"adapter,omitempty"` // nil: the change does not concern it
	Moves   []PlanMove   `json:"moves"`             // in the order in which they are made
	// Settings are those that a set changes.
	Settings []PlanSetting `json:"settings"`
	Managers []PlanManager `json:"managers"`
	Files    []PlanFile    `json:"files"`
	// Blocked are the reasons for which the change is refused without --force.
	Blocked []PlanRisk `json:"blocked"`
	// Effects say in words what the change does to connections and to what others see.
	Effects []string `json:"effects"`
	Risks   []string `json:"risks"` // warnings
	// Commands would do the same to addresses, routes and rules by hand.
	Commands []string `json:"commands"`
}

// PlanNIC is a NIC that a change concerns.
type PlanNIC struct {
	Name     string `json:"name"`
	MAC      string `json:"mac"`
	Driver   string `json:"driver"`
	Link     bool   `json:"link"`
	Up       bool   `json:"up"`
	SpeedBps uint64 `json:"speed_bps"` // 0: unknown
	Duplex   string `json:"duplex"`
	MTU      int    `json:"mtu"`
	Manager  string `json:"manager"` // program that configures it; "": none is known
	// Sessions are the SSH sessions that go by this NIC.
	Sessions []PlanSession `json:"sessions"`
}

// PlanSession is an SSH session.
type PlanSession struct {
	Connection string `json:"connection"` // CLIENT:PORT-SERVER:PORT
	Yours      bool   `json:"yours"`      // of the caller
}

// PlanAdapter is the adapter as it will be.
type PlanAdapter struct {
	Name    string `json:"name"`
	MAC     string `json:"mac"`      // "": one that is made with it
	MACFrom string `json:"mac_from"` // the NIC that has this MAC; "": none
	MTU     int    `json:"mtu"`
	Mode    string `json:"mode"`
}

// PlanMove is an address, a route, a rule or a neighbour that goes from one link to another.
type PlanMove struct {
	Kind string `json:"kind"` // address, route, rule, neighbour, proxy
	What string `json:"what"` // as the ip command prints it, without the link
	From string `json:"from"` // "": it is new
	To   string `json:"to"`   // "": removed, until the team ends
	// Copied: it stays where it was, too.
	Copied bool `json:"copied,omitempty"`
	// Learned: the kernel has it from a router, and learns it again on the other link.
	Learned bool `json:"learned,omitempty"`
}

// PlanSetting is a setting that changes.
type PlanSetting struct {
	Key    string `json:"key"`
	From   string `json:"from"`
	To     string `json:"to"`
	Effect string `json:"effect"` // on connections
}

// PlanManager is a network manager that is told of the team.
type PlanManager struct {
	Name   string   `json:"name"`
	Leaves []string `json:"leaves"` // links that it leaves alone
	// Serves is the NIC in whose place it serves the adapter; "": it does not.
	Serves string `json:"serves"`
	// Servers are DNS servers that systemd-resolved asks through the adapter.
	Servers string `json:"servers"`
}

// PlanFile is a file that is written.
type PlanFile struct {
	Path string `json:"path"`
	What string `json:"what"`
}

// PlanRisk is what stands in the way of a change.
type PlanRisk struct {
	NIC string `json:"nic"` // "": of no single one
	Why string `json:"why"`
	Fix string `json:"fix"`
	// Accepted: by --force or -y.
	Accepted bool `json:"accepted"`
}

// NewPlan makes an empty plan.
func NewPlan(change string) *Plan {
	return &Plan{Change: change, NICs: []PlanNIC{}, Moves: []PlanMove{}, Settings: []PlanSetting{},
		Managers: []PlanManager{}, Files: []PlanFile{}, Blocked: []PlanRisk{}, Effects: []string{}, Risks: []string{},
		Commands: []string{}}
}

// Append adds what another part of the change would do.
func (p *Plan) Append(q *Plan) {
	p.NICs = append(p.NICs, q.NICs...)
	if q.Adapter != nil {
		p.Adapter = q.Adapter
	}
	p.Moves = append(p.Moves, q.Moves...)
	p.Settings = append(p.Settings, q.Settings...)
	p.Managers = append(p.Managers, q.Managers...)
	for _, f := range q.Files {
		if !slices.Contains(p.Files, f) {
			p.Files = append(p.Files, f)
		}
	}
	p.Blocked = append(p.Blocked, q.Blocked...)
	p.Effects = append(p.Effects, q.Effects...)
	p.Risks = append(p.Risks, q.Risks...)
	p.Commands = append(p.Commands, q.Commands...)
}

// Changes reports whether the plan changes anything.
func (p *Plan) Changes() bool {
	return len(p.NICs)+len(p.Moves)+len(p.Settings)+len(p.Managers)+len(p.Effects) > 0 || p.Adapter != nil
}
