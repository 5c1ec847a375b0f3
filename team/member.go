package team

import (
	"fmt"
	"time"

	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// member is a member as the Loop keeps it.
type member struct {
	id       int
	link     Link
	weight   float64
	priority uint16 // of its port in 802.3ad
	info     MemberInfo
	opened   time.Time // on link; what was seen before is about another socket

	debounce monitor.Debounce
	state    monitor.LinkState // as last reported
	known    bool              // state was reported since opened
	fresh    bool              // has just joined: that its link is not read yet is no fault
	lost     time.Time         // when its link was last seen to go
	absent   bool              // its NIC is gone; its socket is dead even if the NIC comes back
	vacant   bool              // the data path is opening it anew: no Plan may name it
	draining bool
	rate     rate // as last measured

	unfit   string // why it is not used though its link is up, "" nothing speaks against it
	refusal string // why its NIC takes in nothing for other addresses, "" it does or nobody has tried

	usable   bool // what the mode was told
	failures uint64
}

// linked is whether m may be used by its link watches.
func (m *member) linked() bool { return m.known && !m.absent && !m.vacant && m.debounce.Up() }

// verdict is whether m may be used.
func (m *member) verdict() bool { return m.linked() && m.unfit == "" }

// reset forgets what was seen of m's NIC before now.
func (m *member) reset(now time.Time) {
	m.opened, m.known, m.absent, m.vacant = now, false, false, false
	m.state, m.rate, m.refusal = monitor.LinkState{}, rate{}, ""
	m.debounce = monitor.Debounce{UpDelay: m.debounce.UpDelay, DownDelay: m.debounce.DownDelay}
}

// mode is m as modes see it.
func (m *member) mode() modes.Member {
	return modes.Member{ID: m.id, Name: m.link.Name, MAC: m.link.MAC, Usable: m.usable, Draining: m.draining, OwnMAC: m.info.OwnMAC, VLANFilter: m.info.VLANFilter,
		Weight: m.weight, SpeedBps: m.state.Link.SpeedBps, HalfDuplex: m.state.Link.Duplex == "half", PortPriority: m.priority}
}

// word is m's state under a Plan, with the reason in words.
func (m *member) word(p *spread.Plan) (state, reason string) {
	switch {
	case m.absent || m.vacant:
		return "absent", monitor.ReasonGone
	case m.draining:
		return "draining", "leaves the team"
	case !m.usable:
		return "down", m.why()
	case p == nil || !p.Distributing.Has(m.id):
		return "standby", m.delayed()
	}
	return "up", m.delayed()
}

// why says why m is not usable.
func (m *member) why() string {
	switch {
	case m.absent || m.vacant:
		return monitor.ReasonGone
	case !m.known:
		return "link not read yet"
	case m.unfit != "":
		return m.unfit
	case m.state.Up:
		return fmt.Sprintf("link is up, waits for up_delay of %v", m.debounce.UpDelay)
	}
	return m.state.Reason
}

// delayed says that m is usable only because of its down-delay.
func (m *member) delayed() string {
	if m.state.Up {
		return ""
	}
	return fmt.Sprintf("%s, waits for down_delay of %v", m.state.Reason, m.debounce.DownDelay)
}
