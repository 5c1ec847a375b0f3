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
	openedAt time.Time // on link; what was seen before is about another socket

	debounce     monitor.Debounce
	linkState    monitor.LinkState // as last reported
	linkKnown    bool              // state was reported since opened
	justJoined   bool              // has just joined: that its link is not read yet is no fault
	linkLostAt   time.Time         // when its link was last seen to go
	absent       bool              // its NIC is gone; its socket is dead even if the NIC comes back
	reopening    bool              // the data path is opening it anew: no Plan may name it
	draining     bool
	measuredRate rate // as last measured

	unfit         string // why it is not used though its link is up, "" nothing speaks against it
	filterRefusal string // why its NIC takes in nothing for other addresses, "" it does or nobody has tried

	usable   bool // what the mode was told
	failures uint64
}

// linkUp is whether m may be used by its link watches.
func (m *member) linkUp() bool { return m.linkKnown && !m.absent && !m.reopening && m.debounce.Up() }

// verdict is whether m may be used.
func (m *member) verdict() bool { return m.linkUp() && m.unfit == "" }

// resetLink forgets what was seen of m's NIC before now.
func (m *member) resetLink(now time.Time) {
	m.openedAt, m.linkKnown, m.absent, m.reopening = now, false, false, false
	m.linkState, m.measuredRate, m.filterRefusal = monitor.LinkState{}, rate{}, ""
	m.debounce = monitor.Debounce{UpDelay: m.debounce.UpDelay, DownDelay: m.debounce.DownDelay}
}

// modeMember is m as modes see it.
func (m *member) modeMember() modes.Member {
	return modes.Member{ID: m.id, Name: m.link.Name, MAC: m.link.MAC, Usable: m.usable, Draining: m.draining, OwnMAC: m.info.OwnMAC, VLANFilter: m.info.VLANFilter,
		Weight: m.weight, SpeedBps: m.linkState.Link.SpeedBps, HalfDuplex: m.linkState.Link.Duplex == "half", PortPriority: m.priority}
}

// state is m's state under a Plan, with the reason in words.
func (m *member) state(p *spread.Plan) (state, reason string) {
	switch {
	case m.absent || m.reopening:
		return "absent", monitor.ReasonGone
	case m.draining:
		return "draining", "leaves the team"
	case !m.usable:
		return "down", m.whyDown()
	case p == nil || !p.Distributing.Has(m.id):
		return "standby", m.downDelayNote()
	}
	return "up", m.downDelayNote()
}

// whyDown says why m is not usable.
func (m *member) whyDown() string {
	switch {
	case m.absent || m.reopening:
		return monitor.ReasonGone
	case !m.linkKnown:
		return "link not read yet"
	case m.unfit != "":
		return m.unfit
	case m.linkState.Up:
		return fmt.Sprintf("link is up, waits for up_delay of %v", m.debounce.UpDelay)
	}
	return m.linkState.Reason
}

// downDelayNote says that m is usable only because of its down-delay.
func (m *member) downDelayNote() string {
	if m.linkState.Up {
		return ""
	}
	return fmt.Sprintf("%s, waits for down_delay of %v", m.linkState.Reason, m.debounce.DownDelay)
}
