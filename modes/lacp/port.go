package lacp

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/limit"
)

// port is one port with the variables of its machines. It has no pointers and no maps, so that copying it is all it
// takes to try what would happen to it.
type port struct {
	PortConfig

	class    uint8  // of the speed; the last one known
	key      uint16 // Actor_Oper_Port_Key
	agg      int    // number of the Aggregator, 0 none
	selected Selected
	receive  Receive
	periodic Periodic
	mux      Mux

	partner      Info          // Partner_Oper
	defaulted    bool          // partner is what we assume of somebody we never heard
	from         frame.MAC     // of its PDUs; 0 not known
	confirmed    bool          // it has spoken more than once
	rival        rival         // who else speaks
	contestNoted time.Time     // when one was last noted
	seen         Info          // what the partner's last PDU said of this port
	resumed      bool          // goes on where a process before this one was; its partner was not heard yet
	untried      bool          // had no carrier yet in this process
	silence      time.Duration // how long nothing had been heard when the port expired
	quiet        time.Time     // since when nobody is heard
	ownHeard     time.Time     // when it last heard its own system
	looped       time.Time     // when it last did so again within a minute, and nobody else since
	warned       time.Time     // when that was last noted

	expires  time.Time // current_while_timer
	waited   time.Time // wait_while_timer
	patience time.Time // when it stops waiting for ports that come and go
	speaks   time.Time // periodic_timer
	actor    churn
	other    churn // the partner

	ntt     urgency      // Need To Transmit, for other reasons than that sent is not true any more
	sent    Info         // what the last PDU said of this port
	changed time.Time    // when that last became something else
	said    [3]time.Time // when the last PDUs were sent, the latest first

	asked   uint32 // transaction of the last marker, 0 none is open
	answers bool   // the partner answers markers

	pdus, rivals, markers, questions, notes limit.Bucket // what is processed of each, at most
	counters                                Counters
}

// enabled reports whether the port can take part: port_enabled and LACP_Enabled.
func (p *port) enabled() bool { return p.Up && !p.HalfDuplex }

// heard reports whether a partner is known and speaks.
func (p *port) heard() bool { return p.receive == ReceiveCurrent }

// usable reports whether the Aggregator can do anything with the port.
func (p *port) usable() bool { return p.heard() && !p.Standby && !p.Leaving }

// detach takes the port out of its Aggregator: it is another one that it belongs to.
func (p *port) detach() {
	p.agg, p.selected, p.mux = 0, Unselected, MuxDetached
	p.waited, p.patience = time.Time{}, time.Time{}
}

// At most 10 PDUs of a kind are processed in any second. What a partner can bring about as often as it likes is noted less often.
var (
	pduRate  = limit.Rate{Every: time.Second / 5, Burst: 5}
	noteRate = limit.Rate{Every: 10 * time.Second, Burst: 5}
)
