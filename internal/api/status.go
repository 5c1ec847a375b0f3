// SPDX-License-Identifier: MIT

package api

import (
	"time"

	"nicteam/internal/frame"
)

// Status is the document nicteam.status/v1 (docs/json.md). Units are base units.
type Status struct {
	Schema         string      `json:"schema"`
	Team           string      `json:"team"`
	Mode           string      `json:"mode"`
	State          string      `json:"state"` // up, degraded, down
	Reason         string      `json:"reason"`
	Since          time.Time   `json:"since"` // of State
	PID            int         `json:"pid"`
	Started        time.Time   `json:"started,omitzero"` // when the process began
	Version        string      `json:"version,omitempty"`
	Supervisor     *Supervisor `json:"supervisor,omitempty"`
	Datapath       string      `json:"datapath"`
	DatapathReason string      `json:"datapath_reason"`
	Adapter        Adapter     `json:"adapter"`
	Active         string      `json:"active"`
	Balance        bool        `json:"balance"`
	Settings       Settings    `json:"settings"`
	Members        []Member    `json:"members"`
	RX             frame.Count `json:"rx"`
	TX             frame.Count `json:"tx"`
	FlowMoves      *FlowMoves  `json:"flow_moves,omitempty"` // elb
	LACP           *LACP       `json:"lacp,omitempty"`       // 802.3ad
	Warnings       []string    `json:"warnings"`
	Panics         []Panic     `json:"panics,omitempty"` // panics that the process survived, one of each kind
	Pending        *Pending    `json:"pending,omitempty"`
}

// Pending is a change that waits for confirmation (nicteam confirm, nicteam revert).
type Pending struct {
	Change string    `json:"change"` // create, delete, add eth3, remove eth1, set mode=xor
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"` // then it is reverted
	Left   int64     `json:"left_ns"`
}

// Supervisor is who stands behind the team's process, and how the process came to be.
type Supervisor struct {
	Kind       string `json:"kind"`           // systemd, keeper, none
	WatchdogNS int64  `json:"watchdog_ns"`    // killed and started anew without a sign of life for so long; 0: never
	Lost       bool   `json:"lost,omitempty"` // the supervisor is gone
	Starts     int    `json:"starts"`         // of the team's process since create, or since boot; 1 for the first
	LastStart  string `json:"last_start"`     // new; warm: by its predecessor's descriptors; cold: by its journal
	// After is how the process before ended: handover, death; "" for the first one.
	After       string `json:"after,omitempty"`
	FromVersion string `json:"from_version,omitempty"` // of the process before
	Reason      string `json:"reason,omitempty"`       // why a start was cold
	Unconfined  string `json:"unconfined,omitempty"`   // what of the sandbox the kernel does not have
}

// FlowMoves counts flows that moved to another member without a pause; each move may have reordered a few frames.
type FlowMoves struct {
	Forced uint64 `json:"forced"`
}

// Adapter is the adapter's part of a Status.
type Adapter struct {
	Name     string `json:"name"`
	Index    int    `json:"index"`
	MAC      string `json:"mac"`
	MTU      int    `json:"mtu"`
	Carrier  bool   `json:"carrier"`
	SpeedBps uint64 `json:"speed_bps"` // sum of the distributing members; 0 unknown
	// KernelCounts is what the kernel's counters of the adapter (ip -s link) cover: "all" traffic of the team or, while
	// the fast path runs, only the frames that the relay moves ("relayed").
	KernelCounts string   `json:"kernel_counts"`
	Addresses    []string `json:"addresses"` // CIDR
	Lease        *Lease   `json:"lease,omitempty"`

	// AsOf is when the rest was read from the kernel; it gets old while another process holds the rtnl lock.
	AsOf time.Time `json:"as_of,omitzero"`
}

// Lease is the DHCP lease that the team's own client acquired or renews.
type Lease struct {
	State    string    `json:"state"` // selecting, requesting, rebooting, checking, bound, renewing, rebinding
	Reason   string    `json:"reason,omitempty"`
	Address  string    `json:"address,omitempty"` // CIDR; none yet
	Server   string    `json:"server,omitempty"`
	Obtained time.Time `json:"obtained,omitzero"` // or renewed
	RenewAt  time.Time `json:"renew_at,omitzero"`
	Expires  time.Time `json:"expires,omitzero"` // absent: never
	DNS      []string  `json:"dns,omitempty"`
	Search   []string  `json:"search,omitempty"`
}

// Settings are the live settings, as `nicteam set` names them.
type Settings struct {
	Hash             string `json:"hash"`
	Primary          string `json:"primary"`
	PrimaryReselect  string `json:"primary_reselect"`
	Match            string `json:"match"`
	UpDelay          int64  `json:"up_delay_ns"`
	DownDelay        int64  `json:"down_delay_ns"`
	PacketsPerMember int    `json:"packets_per_member"`
	MinMembers       int    `json:"min_members"`
	ReceiveBalance   bool   `json:"receive_balance"`
	Gain             int64  `json:"gain_ns"`
	Skew             int64  `json:"skew_ns"`
	Rebalance        int64  `json:"rebalance_ns"`
	AnnounceCount    int    `json:"announce_count"`
	AnnounceInterval int64  `json:"announce_interval_ns"`
	LinkWatch        string `json:"link_watch"`
	WatchPolicy      string `json:"watch_policy"`
	ProbeInterval    int64  `json:"probe_interval_ns"`
	ProbeMisses      int    `json:"probe_misses"`
	AdmissionWait    int64  `json:"admission_wait_ns"`
	Damping          bool   `json:"damping"`
	Datapath         string `json:"datapath"` // the setting: auto, relay, fastpath

	// Of 802.3ad.
	LACPRate           string `json:"lacp_rate"`
	LACPActive         bool   `json:"lacp_active"`
	LACPFallback       bool   `json:"lacp_fallback"`
	ADSelect           string `json:"ad_select"`
	LACPSystem         string `json:"lacp_system"` // auto, or a MAC
	LACPSystemPriority uint16 `json:"lacp_system_priority"`
	LACPKey            uint16 `json:"lacp_key"`
}

// Member is a member's part of a Status.
type Member struct {
	Name         string      `json:"name"`
	Index        int         `json:"index"`
	MAC          string      `json:"mac"`
	Driver       string      `json:"driver"`
	State        string      `json:"state"` // up, down, draining, standby, absent
	Reason       string      `json:"reason"`
	Link         bool        `json:"link"`
	SpeedBps     uint64      `json:"speed_bps"`
	RateBps      uint64      `json:"rate_bps,omitempty"`    // elb: assumed rate, of distributing members
	RateSource   string      `json:"rate_source,omitempty"` // elb: link, measured, assumed
	Duplex       string      `json:"duplex"`
	MTU          int         `json:"mtu"`
	Weight       float64     `json:"weight"`
	Collecting   bool        `json:"collecting"`
	Distributing bool        `json:"distributing"`
	Failures     uint64      `json:"failures"`
	RX           MemberCount `json:"rx"`
	TX           MemberCount `json:"tx"`
	// DropReasons counts drops by reason, expected ones (standby, reflected, …) included; only non-zero ones.
	DropReasons map[string]uint64 `json:"drop_reasons,omitempty"`
	LACP        *MemberLACP       `json:"lacp,omitempty"`   // 802.3ad
	Watch       *LinkWatch        `json:"watch,omitempty"`  // left out where only the carrier is watched
	Damped      *Damped           `json:"damped,omitempty"` // it flapped, and waits
}

// MemberCount is a member's traffic in one direction.
type MemberCount struct {
	frame.Count
	Drops  uint64 `json:"drops"`
	Errors uint64 `json:"errors"`
}

// Panic describes the panics of one kind that the team survived.
type Panic struct {
	Where string    `json:"where"` // control loop, carrier watch, data path, …
	Input string    `json:"input"` // what was being processed at the last one
	Count uint64    `json:"count"`
	Time  time.Time `json:"time"` // of the last one
	Value string    `json:"value"`
	Stack string    `json:"stack"`
}

func (p *Panic) String() string {
	s := p.Where
	if p.Input != "" {
		s += " (" + p.Input + ")"
	}
	return s + ": " + p.Value
}
