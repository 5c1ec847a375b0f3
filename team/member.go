// SPDX-License-Identifier: MIT

package team

import (
	"fmt"
	"time"

	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// member is a member in the Loop.
type member struct {
	id       int
	link     Link
	weight   float64
	priority uint16 // port priority, 802.3ad
	info     MemberInfo
	openedAt time.Time // by the data path; earlier reports are about another socket

	debounce     monitor.Debounce
	linkState    monitor.LinkState // as last reported
	linkKnown    bool              // linkState was reported since openedAt
	justJoined   bool              // its link is not read yet, which is no fault
	linkLostAt   time.Time         // when its link was last lost
	absent       bool              // its NIC is gone; the socket is dead even if the NIC returns
	reopening    bool              // the data path opens it again: no Plan may name it
	draining     bool
	measuredRate rate // as last measured

	unfit         string // why it is not used although its link is up, "" it is fit
	filterRefusal string // why its NIC accepts no other addresses, "" not refused

	usable   bool // as in the mode's State
	failures uint64
}

// linkUp reports whether the link watches allow m, after its delays.
func (m *member) linkUp() bool { return m.linkKnown && !m.absent && !m.reopening && m.debounce.Up() }

// verdict reports whether m may be used.
func (m *member) verdict() bool { return m.linkUp() && m.unfit == "" }

// resetLink forgets what was observed of m's NIC before now.
func (m *member) resetLink(now time.Time) {
	m.openedAt, m.linkKnown, m.absent, m.reopening = now, false, false, false
	m.linkState, m.measuredRate, m.filterRefusal = monitor.LinkState{}, rate{}, ""
	m.debounce = monitor.Debounce{UpDelay: m.debounce.UpDelay, DownDelay: m.debounce.DownDelay}
}

// modeMember returns m as modes see it.
func (m *member) modeMember() modes.Member {
	return modes.Member{ID: m.id, Name: m.link.Name, MAC: m.link.MAC, Usable: m.usable, Draining: m.draining,
		OwnMAC: m.info.OwnMAC, VLANFilter: m.info.VLANFilter,
		Weight: m.weight, SpeedBps: m.linkState.Link.SpeedBps, HalfDuplex: m.linkState.Link.Duplex == "half",
		PortPriority: m.priority}
}

// state returns m's state under a Plan, and the reason.
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

// downDelayNote says that m is usable only because of its down-delay, "" otherwise.
func (m *member) downDelayNote() string {
	if m.linkState.Up {
		return ""
	}
	return fmt.Sprintf("%s, waits for down_delay of %v", m.linkState.Reason, m.debounce.DownDelay)
}
