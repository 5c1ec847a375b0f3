// SPDX-License-Identifier: MIT

package settings

import (
	"net/netip"
	"strings"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// Config is the configuration of a team; internal/config makes it from a file, the environment and flags.
type Config struct {
	Team    string
	Members []MemberConfig
	Match   MatchPolicy

	Mode             modes.Kind
	Balance          bool
	Hash             spread.HashPolicy
	Primary          string
	PrimaryReselect  modes.Reselect
	Active           string // active member wanted by hand, "" none; not kept over a restart
	PacketsPerMember int
	ReceiveBalance   bool
	Gain             time.Duration // elb: minimum advantage before a flow moves
	Skew             time.Duration // elb: largest expected difference in path delay
	Rebalance        time.Duration // elb: interval of the rebalancer; 0 never
	MinMembers       int
	LACP             modes.LACPSettings

	UpDelay          time.Duration
	DownDelay        time.Duration
	LinkWatch        []string      // monitor.Specs as text: auto, carrier, gateway, arp:IP, nd:IP, probe
	WatchPolicy      WatchPolicy   // how several link watches combine
	ProbeInterval    time.Duration // between two asks of a target while all is well
	ProbeMisses      int           // asks without an answer after which a member is down
	AdmissionWait    time.Duration // how long a member that comes waits for its first answer
	Damping          bool          // a member that fails again and again waits before it is used
	Undamp           string        // member whose wait ends now: an action, never kept
	AnnounceCount    int
	AnnounceInterval time.Duration

	Address   AddressPolicy
	Addresses []netip.Prefix // Address == AddressGiven
	Gateway   netip.Addr     // zero: none given
	MACPolicy MACPolicy
	MAC       frame.MAC // MACPolicy == MACGiven
	MTU       int       // 0: the largest of NICs with addresses

	Datapath      string // "auto", "relay", "fastpath"
	TSO, USO, GRO Offload
}

// MemberNames returns the names of the members in their order.
func (c Config) MemberNames() []string {
	names := make([]string, len(c.Members))
	for i, m := range c.Members {
		names[i] = m.Name
	}
	return names
}

// AddressList returns Addresses as text, separated by commas.
func (c Config) AddressList() string {
	list := make([]string, len(c.Addresses))
	for i, p := range c.Addresses {
		list[i] = p.String()
	}
	return strings.Join(list, ", ")
}

// MemberConfig is a member as configured.
type MemberConfig struct {
	Name         string
	Weight       float64
	PortPriority uint16 // of 802.3ad
}

// MatchPolicy says which NIC takes the place of a member whose NIC was gone.
type MatchPolicy uint8

// The policies of --match.
const (
	MatchName MatchPolicy = iota // any NIC of its name
	MatchMAC                     // the same NIC
)

func (m MatchPolicy) String() string {
	if m == MatchMAC {
		return "mac"
	}
	return "name"
}

// WatchPolicy says how the link watches of a member combine.
type WatchPolicy uint8

// The policies of --watch-policy.
const (
	WatchAll WatchPolicy = iota // a member that any watch says is down is down
	WatchAny                    // a member that any watch says is up is up
)

func (p WatchPolicy) String() string {
	if p == WatchAny {
		return "any"
	}
	return "all"
}

// AddressPolicy says where the adapter's addresses come from.
type AddressPolicy uint8

// The policies of --address.
const (
	AddressAuto  AddressPolicy = iota // the members' addresses, routes and gateway move to the adapter
	AddressNone                       // the adapter has none, and the members keep none
	AddressGiven                      // Config.Addresses
	AddressDHCP                       // as AddressAuto, and the team has a DHCP client of its own
)

// FromMembers reports whether addresses and routes of members move to the adapter.
func (p AddressPolicy) FromMembers() bool { return p == AddressAuto || p == AddressDHCP }

// MACPolicy says which MAC the adapter gets.
type MACPolicy uint8

// The policies of --mac.
const (
	MACKeep  MACPolicy = iota // of the member that owned the default route, else the first's
	MACNew                    // a fresh locally administered one
	MACGiven                  // Config.MAC
)

// Offload says whether an offload is used.
type Offload uint8

// The values of an Offload.
const (
	OffloadAuto Offload = iota // on unless it was seen to fail
	OffloadOn
	OffloadOff
)

func (o Offload) String() string { return [...]string{"auto", "on", "off"}[min(o, OffloadOff)] }

// DefaultConfig returns the defaults. Team and Members are empty.
func DefaultConfig() Config {
	return Config{
		Mode: modes.ELB, Balance: true, ReceiveBalance: true,
		Gain: spread.DefaultGain, Skew: spread.DefaultSkew, Rebalance: modes.DefaultRebalance,
		PacketsPerMember: 1, MinMembers: 1, LACP: modes.DefaultLACP(),
		LinkWatch: []string{"auto"}, ProbeInterval: time.Second, ProbeMisses: 3, AdmissionWait: 3 * time.Second,
		Damping: true, AnnounceCount: 1, AnnounceInterval: 100 * time.Millisecond,
		Datapath: "auto",
	}
}
