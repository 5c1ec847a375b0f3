// SPDX-License-Identifier: MIT

package team

import (
	"cmp"
	"fmt"
	"time"

	"nicteam/internal/frame"
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

	debounce     monitor.Debounce  // of link and watches together
	linkState    monitor.LinkState // as last reported
	linkKnown    bool              // linkState was reported since openedAt
	justJoined   bool              // its link is not read yet, which is no fault
	linkLostAt   time.Time         // when its link was last lost, or its watches began to doubt it
	linkSince    time.Time         // since when its link is up
	absent       bool              // its NIC is gone; the socket is dead even if the NIC returns
	reopening    bool              // the data path opens it again: no Plan may name it
	draining     bool
	measuredRate rate // as last measured

	watch          monitor.Verdict // of the watches that ask; Asked is left out
	suspectSince   time.Time       // when they last began to doubt it
	suspectTold    bool            // that is an event, or was too soon after another one
	suspectEventAt time.Time       // the last such event

	askedBy          frame.MAC // by which it asks
	answeredByAskMAC bool      // its NIC accepts more than its own MAC
	ownAsk           ownAsk
	wayBack          wayBack

	worked         bool // works at the last input
	damping        monitor.Damping
	dampedUntil    time.Time // zero: it does not wait
	dampedTold     bool      // that is an event
	dampingSkipped time.Time // the end of a wait that was cut short, because no other member was usable

	forced, wasForced bool // used, now and before, because no other is usable, although its watches forbid it
	fallUntold        bool // it was used so until another answered, and waits again; no event has said so

	unfit         string // why it is not used although its link is up, "" it is fit
	filterRefusal string // why its NIC accepts no other addresses, "" not refused

	usable   bool // as in the mode's State
	lost     bool // the same
	everUsed bool
	failures uint64
}

// linkUp reports whether link and watches allow m, or nothing better is left.
func (m *member) linkUp() bool { return m.works() && !m.damped() || m.forced }

// joining reports whether nothing can be said yet about m, which has joined: that is no fault.
func (m *member) joining() bool {
	return m.justJoined || m.watch.State == monitor.Waiting && (!m.everUsed || m.fallUntold)
}

// waitsOn reports whether m only waits for its first answer.
func (m *member) waitsOn() bool {
	return m.hasLink() && m.unfit == "" && m.watch.State == monitor.Waiting
}

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
	return modes.Member{ID: m.id, Name: m.link.Name, MAC: m.link.MAC, Usable: m.usable, Suspect: m.suspect(),
		Lost: m.lost, Draining: m.draining, OwnMAC: m.info.OwnMAC, VLANFilter: m.info.VLANFilter,
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
		return "standby", m.usableNote()
	}
	return "up", m.usableNote()
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
	case !m.linkState.Up:
		return m.linkState.Reason
	case !m.watch.State.Usable():
		return m.watchReason()
	case m.damped():
		return m.whyDamped()
	}
	return fmt.Sprintf("link is up, waits for up_delay of %v", m.debounce.UpDelay)
}

// usableNote says why m, which is usable, may not be for long, "" if nothing is wrong.
func (m *member) usableNote() string {
	switch {
	case m.forced:
		return "no other member is usable; " + m.watchReason()
	case !m.linkState.Up:
		return fmt.Sprintf("%s, waits for down_delay of %v", m.linkState.Reason, m.debounce.DownDelay)
	case m.lost:
		return m.watchReason()
	case !m.watch.State.Usable():
		return fmt.Sprintf("%s, waits for down_delay of %v", m.watchReason(), m.debounce.DownDelay)
	case m.suspect():
		return "suspect: " + m.watchReason()
	}
	return ""
}

// watchReason says in words what the watches say about m.
func (m *member) watchReason() string { return cmp.Or(m.watch.Reason, m.watch.State.String()) }
