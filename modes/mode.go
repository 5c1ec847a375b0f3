// SPDX-License-Identifier: MIT

package modes

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// Mode decides how frames are spread. It is called from one goroutine, never blocks, does no I/O, starts no goroutine
// and reads no clock: time is an argument. The set is closed.
type Mode interface {
	// Handle follows an event and returns what is due besides executing the Plan.
	Handle(now time.Time, ev Event) Effects
	// Plan returns the Plan in force; it changes only in Handle.
	Plan() *spread.Plan
	// Deadline returns when the next Tick is due; zero for never.
	Deadline() time.Time
	isMode()

	// checkpoint returns what the mode must know in the next process, nil for nothing.
	checkpoint() *Checkpoint
	// resume gives a new mode the state of a Checkpoint. st is the last State of the mode that wrote it.
	resume(now time.Time, st State, c *Checkpoint) error
}

// Event is one of State, Tick, Received, Measured, Flooded, Announced, AddressLeft, AddressHeld, AddressClaimed and
// Ending.
type Event interface{ isEvent() }

// State is the whole state of a team as a mode needs it; it comes again whenever anything in it changed.
type State struct {
	Adapter  frame.MAC
	Behind   []frame.Station // sorted: that sent from behind the adapter last (bridge, VM, macvlan)
	Ageing   []frame.Station // sorted: those of Behind that expire soon unless they send
	RxMode   spread.RxMode   // of the adapter
	Members  []Member        // by id
	Settings Settings

	// Vacant are the MACs of NICs that are no members for a moment while they are opened again.
	Vacant []frame.MAC

	// Before is the Plan of the mode before this one: frames under way may still arrive as it had them. It comes in the
	// first State of a mode only, and may be nil.
	Before *spread.Plan

	// Memory is what 802.3ad keeps of the process before. It comes in the first State of a mode only, and may be nil.
	Memory *lacp.Memory

	// Flooding: unicast frames for the adapter's MAC arrived by a standby member. The switch does not learn, and two
	// members that collect get every frame twice.
	Flooding bool
}

// Tick says that the mode's deadline has passed.
type Tick struct{}

// Received is a frame that the Plan handed to the control loop.
type Received struct {
	Member int // the member it came in by, -1 when the adapter sent it
	Frame  []byte
}

// Measured is what the data path has counted. It comes once every Settings.Rebalance while frames move.
type Measured struct {
	Flows   *spread.FlowTable // borrowed; nil if the Plan in force has no flow table
	RxBytes *spread.RxBytes   // borrowed
}

// Flooded says that the switch goes on sending a member frames that are for another one.
type Flooded struct{ Member int }

// Announced says that the adapter's addresses were just announced, as Effects.Tell asked for.
type Announced struct{}

// AddressLeft says that this host no longer has an address.
type AddressLeft struct {
	IP   netip.Addr
	VLAN uint16 // 0: untagged
}

// AddressHeld says that this host has an address, maybe again.
type AddressHeld struct {
	IP   netip.Addr
	VLAN uint16 // 0: untagged
}

// AddressClaimed says that another host claims an address of this one.
type AddressClaimed struct {
	IP   netip.Addr
	VLAN uint16 // 0: untagged
}

// Ending says that the mode ends: another one replaces it, or the team is deleted.
type Ending struct{}

func (State) isEvent()          {}
func (Tick) isEvent()           {}
func (Received) isEvent()       {}
func (Measured) isEvent()       {}
func (Flooded) isEvent()        {}
func (Announced) isEvent()      {}
func (AddressLeft) isEvent()    {}
func (AddressHeld) isEvent()    {}
func (AddressClaimed) isEvent() {}
func (Ending) isEvent()         {}

// Member is a member as modes see it.
type Member struct {
	ID       int
	Name     string
	MAC      frame.MAC
	Usable   bool    // link watches say up, and the delays are over
	Suspect  bool    // usable, but its link watches doubt that its frames arrive: it is being asked
	Lost     bool    // usable for a partner (802.3ad), but what is sent by it does not arrive: others send
	OwnMAC   bool    // accepts frames for its own MAC only, as a Wi-Fi station does
	Draining bool    // leaves the team: collects, distributes no more
	Weight   float64 // from the user, 1 by default, > 0
	SpeedBps uint64  // link speed, 0 unknown

	VLANFilter   bool   // its NIC drops tagged frames unless promiscuous
	HalfDuplex   bool   // 802.3ad cannot use it
	PortPriority uint16 // of 802.3ad, the lower the better
}

// Effects are what is due after an event; the zero value is nothing.
type Effects struct {
	Send   []spread.Send // frames to send, in order
	Tell   Tell          // announcements
	Active bool          // the active member changed
	Reason string        // why, in words, when Active
	Notes  []Note        // events for users
}

// Note is an event for users.
type Note struct {
	Event  string // partner-changed, partner-contested, aggregator-changed, loop, churn
	Member int    // -1 none
	Reason string
}

// Tell is a set of announcements.
type Tell uint8

// The members of Tell.
const (
	TellAddresses Tell = 1 << iota // to hosts, the adapter's addresses: gratuitous ARP, unsolicited NA
	TellGroups                     // to switches and routers, the groups of this host: IGMP, MLD
	TellBehind                     // to switches, the MACs behind the adapter: RARP
	TellAsk                        // none: the adapter's stack confirms its neighbours, so that the mode learns them
	TellAll       = TellAddresses | TellGroups | TellBehind
)

// Settings are the live settings that modes read. The zero value is not valid: see settings.Config for defaults.
type Settings struct {
	Kind             Kind
	Balance          bool // false: one active member, the others stand by, in every mode
	Hash             spread.HashPolicy
	Salt             uint64
	Primary          string // member name, "" none
	PrimaryReselect  Reselect
	Active           string // active member by hand, "" none
	PacketsPerMember int
	MinMembers       int
	Patient          bool // a member without link goes on sending for a while

	// Of elb.
	ReceiveBalance bool
	Gain           time.Duration // DefaultGain
	Skew           time.Duration // DefaultSkew
	Rebalance      time.Duration // DefaultRebalance; 0: flows that never pause stay where they are

	LACP LACPSettings
}

// LACPSettings are the settings of 802.3ad.
type LACPSettings struct {
	Fast           bool // the partner sends an LACPDU every second instead of every 30 s
	Active         bool // sends LACPDUs to a silent partner, too
	Fallback       bool // one member works alone while no partner answers, as on a switch without LACP
	Select         lacp.Select
	System         frame.MAC // 0: the adapter's MAC when the team began
	SystemPriority uint16
	Key            uint16 // administrative, 0 to 1023
}

// DefaultLACP has the defaults of 802.3ad.
func DefaultLACP() LACPSettings {
	return LACPSettings{Active: true, Fallback: true, SystemPriority: DefaultPriority}
}

// The defaults of priorities are the kernel's.
const (
	DefaultPriority     = 65535
	DefaultPortPriority = 255
)

// DefaultRebalance is the default of Settings.Rebalance.
const DefaultRebalance = time.Second
