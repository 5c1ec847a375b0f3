package modes

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// Mode decides how frames are spread. It is called from one goroutine, never blocks, does no
// I/O, starts no goroutine and reads no clock: time is an argument. The set is closed.
type Mode interface {
	// Handle takes in an event and says what is to be done besides executing the Plan.
	Handle(now time.Time, ev Event) Effects
	// Plan is what a data path has to do; it changes only in Handle.
	Plan() *spread.Plan
	// Deadline is when the mode wants the next Tick; zero for never.
	Deadline() time.Time
	isMode()
}

// Event is one of State, Tick, Received, Measured, Flooded, Announced, AddressLeft and Ending.
type Event interface{ isEvent() }

// State is the whole state of a team as the mode needs it; sent again whenever anything in it changed.
type State struct {
	Adapter  frame.MAC
	Behind   []frame.Station // sorted: who has sent from behind the adapter (bridge, VM, macvlan), and not from elsewhere since
	Ageing   []frame.Station // sorted, those of Behind that are forgotten soon unless they send
	RxMode   spread.RxMode   // of the adapter
	Members  []Member        // by id
	Settings Settings

	// Vacant are the addresses of members that are no members for a moment: their NIC is being opened anew.
	Vacant []frame.MAC

	// Before is the Plan that was in force under the mode before this one: frames under way may still arrive as it had
	// them. It stands in the first State of a mode only, and may be nil.
	Before *spread.Plan

	// Memory is what 802.3ad remembers of a process that moved these members' frames before. It stands in the first
	// State of a mode only, and may be nil.
	Memory *lacp.Memory

	// Flooding is whether the data path has seen unicast frames for the adapter's MAC arrive by
	// a standby member: the switch does not learn, and whatever collects twice gets doubles.
	Flooding bool
}

// Tick says that the mode's deadline has passed.
type Tick struct{}

// Received is a frame that the Plan handed to the control loop.
type Received struct {
	Member int // the member it came in by, -1 when the adapter sent it
	Frame  []byte
}

// Measured is what the data path has seen since it began. It comes once a Settings.Rebalance while frames move.
type Measured struct {
	Flows   *spread.FlowTable // borrowed; nil where the Plan in force has no flow table
	RxBytes *spread.RxBytes   // borrowed
}

// Flooded says that the switch goes on sending a member frames that are for another one.
type Flooded struct{ Member int }

// Announced says that the neighbours were just told the adapter's addresses, as Effects.Tell wanted.
type Announced struct{}

// AddressLeft says that this host no longer has an address.
type AddressLeft struct {
	IP   netip.Addr
	VLAN uint16 // 0: untagged
}

// Ending says that the mode's time is over, because another one takes its place or the team ends for good.
type Ending struct{}

func (State) isEvent()       {}
func (Tick) isEvent()        {}
func (Received) isEvent()    {}
func (Measured) isEvent()    {}
func (Flooded) isEvent()     {}
func (Announced) isEvent()   {}
func (AddressLeft) isEvent() {}
func (Ending) isEvent()      {}

// Member is a member as modes see it.
type Member struct {
	ID       int
	Name     string
	MAC      frame.MAC
	Usable   bool    // link watches say up and delays are over
	OwnMAC   bool    // takes in frames for its own address only, as a Wi-Fi station does
	Draining bool    // leaves the team: still collects, sends nothing
	Weight   float64 // from the user, 1 by default, > 0
	SpeedBps uint64  // link speed, 0 unknown

	VLANFilter   bool   // drops tagged frames unless promiscuous
	HalfDuplex   bool   // 802.3ad cannot use it
	PortPriority uint16 // of 802.3ad, the lower the better
}

// Effects is what a mode wants done after an event; the zero value is nothing.
type Effects struct {
	Send   []spread.Send // frames to send, in order
	Tell   Tell          // what the neighbours are to be told
	Active bool          // the active member changed
	Reason string        // why, in words, when Active
	Notes  []Note        // for who reads events
}

// Note is something that happened, for who reads events.
type Note struct {
	Event  string // partner-changed, partner-contested, aggregator-changed, loop, churn
	Member int    // -1 none
	Reason string
}

// Tell is a set of what the adapter's neighbours can be told, and its own stack.
type Tell uint8

// The members of Tell.
const (
	TellAddresses Tell = 1 << iota // hosts, where the adapter's addresses are: gratuitous ARP, NA
	TellGroups                     // switches and routers, which groups to send: IGMP, MLD
	TellBehind                     // switches, where the MACs behind the adapter are: RARP
	TellAsk                        // the adapter's own stack, to ask the hosts it knows once more: by that a mode gets to know them
	TellAll       = TellAddresses | TellGroups | TellBehind
)

// Settings are the live settings that modes read. The zero value is not valid: see settings.Config for defaults.
type Settings struct {
	Kind             Kind
	Balance          bool // false: one active member, the others stand by, whatever Kind says
	Hash             spread.HashPolicy
	Salt             uint64
	Primary          string // member name, "" none
	PrimaryReselect  Reselect
	Active           string // active member wished by hand, "" none
	PacketsPerMember int
	MinMembers       int

	// Of elb.
	ReceiveBalance bool
	Gain           time.Duration // DefaultGain
	Skew           time.Duration // DefaultSkew
	Rebalance      time.Duration // DefaultRebalance; 0: flows that never pause stay where they are

	LACP LACPSettings
}

// LACPSettings are those of 802.3ad.
type LACPSettings struct {
	Fast           bool // the partner is to send a PDU a second, not one each 30 s
	Active         bool // speaks without being spoken to
	Fallback       bool // while nobody answers one member works alone, as on a switch without LACP
	Select         lacp.Select
	System         frame.MAC // 0: the adapter's address, as it was when the team began
	SystemPriority uint16
	Key            uint16 // of the user, 0 to 1023
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
