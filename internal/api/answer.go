// SPDX-License-Identifier: MIT

package api

import "time"

// Explanation is the document nicteam.explain/v1: which member carries a flow, and why.
type Explanation struct {
	Schema string `json:"schema"`
	Team   string `json:"team"`
	Flow   string `json:"flow"`
	Mode   string `json:"mode"`
	Hash   string `json:"hash,omitempty"` // policy
	Slot   int    `json:"slot"`           // -1 where the flow's hash does not matter
	Member string `json:"member"`         // "": no single member, or none
	Why    string `json:"why"`
	// Since is when the flow moved to Member; left out if not recorded.
	Since time.Time `json:"since,omitzero"`
	// Next is the member that would carry the flow without Member, "" for none; NextWhy is the reason.
	Next    string `json:"next,omitempty"`
	NextWhy string `json:"next_why,omitempty"`
	// Not are the other members that the flow cannot take now.
	Not []Excluded `json:"not,omitempty"`
}

// Excluded is a member that a flow cannot take, and why.
type Excluded struct {
	Member string `json:"member"`
	State  string `json:"state"` // down, waits, damped, suspect, returns, draining, absent
	Reason string `json:"reason"`
}

// Peers is the document nicteam.peers/v1.
type Peers struct {
	Schema string `json:"schema"`
	Team   string `json:"team"`
	// Reason is why the team steers no peers; "" if it does, even before the first peer.
	Reason string `json:"reason"`
	Peers  []Peer `json:"peers"` // by address
}

// Peer is a host that was given a member's MAC for an address of the team.
type Peer struct {
	Address string    `json:"address"` // the peer's
	Ours    string    `json:"ours"`    // the adapter's
	MAC     string    `json:"mac"`     // the peer's
	VLAN    uint16    `json:"vlan"`    // 0 untagged
	Member  string    `json:"member"`
	Since   time.Time `json:"since"`  // when it was assigned to that member
	Seen    time.Time `json:"seen"`   // its last frame
	RxBps   uint64    `json:"rx_bps"` // what it sends to this host, smoothed
	Told    uint64    `json:"told"`   // notifications without a request
}

// List is the document nicteam.list/v1.
type List struct {
	Schema string       `json:"schema"`
	Teams  []ListedTeam `json:"teams"`
	NICs   []ListedNIC  `json:"nics"`
	// Warnings say in words what this user is not shown.
	Warnings []string `json:"warnings"`
}

// ListedTeam is a team of this host, running or not.
type ListedTeam struct {
	Name    string   `json:"name"`
	Running bool     `json:"running"`
	Mode    string   `json:"mode"`
	State   string   `json:"state"` // up, degraded, down, "not running", "no answer"
	Members []string `json:"members"`
}

// ListedNIC is a NIC of this host.
type ListedNIC struct {
	Name      string   `json:"name"`
	Index     int      `json:"index"`
	MAC       string   `json:"mac"`
	Driver    string   `json:"driver"`
	Up        bool     `json:"up"`   // administratively
	Link      bool     `json:"link"` // carrier
	SpeedBps  uint64   `json:"speed_bps"`
	Duplex    string   `json:"duplex"`
	MTU       int      `json:"mtu"`
	Addresses []string `json:"addresses"`
	Owner     string   `json:"owner"`           // "team team0", "bridge br0", … or ""
	State     string   `json:"state,omitempty"` // of a member of a running team
	Reason    string   `json:"reason,omitempty"`
	Kind      string   `json:"kind"`   // rtnetlink's: "bridge", "veth", "tun", …; "device" for hardware
	Uppers    []string `json:"uppers"` // its VLANs, macvlans, …
}

// Physical reports whether the NIC is hardware, as a host or virtual machine has it, and not a link that software made.
func (n *ListedNIC) Physical() bool { return n.Kind == "device" || n.Kind == "" }

// Restarted is the document nicteam.restarted/v1, the answer to restart.
type Restarted struct {
	Schema string `json:"schema"`
	Team   string `json:"team"`
	// FromVersion and Version are those of the process before and of the new one.
	FromVersion string `json:"from_version"`
	Version     string `json:"version"`
	FromPID     int    `json:"from_pid"`
	PID         int    `json:"pid"`
	TookNS      int64  `json:"took_ns"`    // until the new process answered
	LastStart   string `json:"last_start"` // warm, cold
	Reason      string `json:"reason,omitempty"`
}

// Created is the document nicteam.created/v1, the answer to create.
type Created struct {
	Schema   string   `json:"schema"`
	Team     string   `json:"team"`
	DryRun   bool     `json:"dry_run"`
	Steps    []string `json:"steps"`
	Warnings []string `json:"warnings"`
	Status   *Status  `json:"status,omitempty"` // nil in a dry run
	Plan     *Plan    `json:"plan,omitempty"`   // of a dry run
}

// Result is the document nicteam.result/v1, the answer to a change.
type Result struct {
	Schema string   `json:"schema"`
	Team   string   `json:"team,omitempty"` // "": restore of all teams
	Steps  []string `json:"steps"`          // what was done, for people
	Plan   *Plan    `json:"plan,omitempty"` // of a dry run
}

// NewResult makes the answer to a change of a team.
func NewResult(team string, steps []string) *Result {
	return &Result{Schema: ResultSchema, Team: team, Steps: append([]string{}, steps...)}
}

// Applied is the document nicteam.apply/v1.
type Applied struct {
	Schema  string   `json:"schema"`
	Team    string   `json:"team"`
	Changed bool     `json:"changed"`        // in a dry run: it would be
	Created bool     `json:"created"`        // the team was made
	Steps   []string `json:"steps"`          // what was done, for people
	Plan    *Plan    `json:"plan,omitempty"` // of a dry run that would change something
}

// Version is the document nicteam.version/v1.
type Version struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Imported is the document nicteam.import/v1.
type Imported struct {
	Schema string       `json:"schema"`
	Source string       `json:"source"` // as it was named
	Format string       `json:"format"` // teamd, netplan, interfaces, ifcfg, keyfile, bond, team
	Team   string       `json:"team"`
	YAML   string       `json:"yaml"`
	File   string       `json:"file,omitempty"` // that was written
	Notes  []ImportNote `json:"notes"`          // what has no equal
}

// ImportNote is a setting of another program that has no equal.
type ImportNote struct {
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Text  string `json:"text"` // what becomes of it
}
