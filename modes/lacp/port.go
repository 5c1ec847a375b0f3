// SPDX-License-Identifier: MIT

package lacp

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/limit"
)

// port is one port with the variables of its machines. It has no pointers and no maps, so tests may copy it to try what
// would happen.
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
	defaulted    bool          // partner is the assumed one
	from         frame.MAC     // source MAC of its PDUs; 0 unknown
	confirmed    bool          // it has sent more than one PDU
	rival        rival         // another actor on the port
	contestNoted time.Time     // when a rival was noted last
	seen         Info          // this port in the partner's last PDU
	resumed      bool          // restored from the process before; no PDU of its partner yet
	untried      bool          // had no carrier yet in this process
	silence      time.Duration // how long the partner had sent nothing when the port expired
	unheardSince time.Time     // since when there is no partner
	ownHeard     time.Time     // when it last received a PDU of its own system
	looped       time.Time     // when it did so again within a minute, with no other PDU since
	warned       time.Time     // when a loop was noted last

	expires    time.Time // current_while_timer
	waitUntil  time.Time // wait_while_timer
	waitLimit  time.Time // when it waits no more for ports that come and go
	periodicAt time.Time // periodic_timer
	actor      churn
	other      churn // the partner

	ntt     urgency      // Need To Transmit, besides that sent is no longer true
	sent    Info         // this port in its last PDU
	changed time.Time    // when that changed last
	sentAt  [3]time.Time // when the last PDUs were sent, the latest first

	markerSent     uint32 // transaction of the open marker, 0 none
	answersMarkers bool   // the partner answers markers

	pdus, rivals, markers, markersOut, notes limit.Bucket // bound what is processed
	counters                                 Counters
}

// enabled returns port_enabled and LACP_Enabled.
func (p *port) enabled() bool { return p.Up && !p.HalfDuplex }

// heard reports whether the port has a partner: CURRENT.
func (p *port) heard() bool { return p.receive == ReceiveCurrent }

// usable reports whether the Aggregator can use the port.
func (p *port) usable() bool { return p.heard() && !p.Standby && !p.Leaving }

// detach takes the port out of its Aggregator: it belongs to another one.
func (p *port) detach() {
	p.agg, p.selected, p.mux = 0, Unselected, MuxDetached
	p.waitUntil, p.waitLimit = time.Time{}, time.Time{}
}

// At most 10 PDUs of a kind are processed in any second. Notes that a partner can provoke are rarer.
var (
	pduRate  = limit.Rate{Every: time.Second / 5, Burst: 5}
	noteRate = limit.Rate{Every: 10 * time.Second, Burst: 5}
)
