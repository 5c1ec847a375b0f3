// SPDX-License-Identifier: MIT

package team

import "time"

// The switch of a static LAG returns what a member asks for by the member that a hash of the MACs chooses. Answers that
// arrive by another one tell nothing of this one's receive direction. So each member tries MACs made for that
// (monitor.AskMACs) until its answers arrive by itself. A switch that hashes no MACs, or takes turns, has none.
const (
	wayBackStep  = 200 * time.Millisecond // between two MACs
	wayBackMost  = 24                     // tried MACs; of two members one in 16 million finds none, of eight one in 25
	wayBackRetry = 10 * time.Minute       // after none was found
)

// wayBack is how a member looks for a MAC whose answers it receives itself.
type wayBack struct {
	variant int       // of its MACs: 0 its own one, n > 0 monitor.AskMACs(own, n)
	tried   int       // since the last one that worked
	next    time.Time // not before this
}

// WayBackAt is what a member knows of it, in a Checkpoint: the next process asks by the same MAC, and goes on trying
// where this one was.
type WayBackAt struct {
	Variant int       `json:"variant,omitempty"`
	Tried   int       `json:"tried,omitempty"`
	Next    time.Time `json:"next,omitzero"`
}

func (b *wayBack) at() WayBackAt { return WayBackAt{b.variant, b.tried, b.next} }

func (a WayBackAt) wayBack() wayBack { return wayBack{a.Variant, a.Tried, a.Next} }

// valid reports whether a member can know that.
func (a WayBackAt) valid() bool {
	return a.Variant >= 0 && a.Variant <= wayBackMost && a.Tried >= 0 && a.Tried <= wayBackMost
}

// runWayBacks lets members of a static LAG try other MACs, all at the same times: each try is another Plan.
func (l *Loop) runWayBacks(now time.Time) {
	for _, m := range l.members {
		seeks, answers := l.seeksWayBack(m)
		b := &m.wayBack
		switch {
		case !seeks && answers > 1:
			b.tried = 0
		case !seeks:
		case now.Before(b.next):
			l.verdictDue = earlier(l.verdictDue, b.next)
		case b.tried >= wayBackMost:
			*b = wayBack{next: now.Add(wayBackRetry)}
			l.planPending = true
		default:
			b.tried++
			b.variant = b.variant%wayBackMost + 1
			b.next = now.Add(wayBackStep).Truncate(wayBackStep)
			l.planPending = true
		}
	}
}

// seeksWayBack reports whether answers to m arrive by another member, and how many in a row arrive by the same one.
func (l *Loop) seeksWayBack(m *member) (seeks bool, answers int) {
	if l.ended || l.plan == nil || !l.watchesConfig.Group || len(l.members) < 2 || m.info.OwnMAC || m.reopening ||
		!m.watch.State.Usable() {
		return false, 0
	}
	via, answers := l.watches.WayBack(m.id)
	return answers > 0 && via != m.id, answers
}

// wayBackDue reports whether a member tries another MAC now, or has just learnt that it has to.
func (l *Loop) wayBackDue(now time.Time) bool {
	for _, m := range l.members {
		if seeks, answers := l.seeksWayBack(m); seeks && (answers == 1 || !now.Before(m.wayBack.next)) {
			return true
		}
	}
	return false
}
