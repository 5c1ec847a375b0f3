// SPDX-License-Identifier: MIT

package monitor

import (
	"math/bits"
	"time"

	"nicteam/internal/frame"
)

// Times of asks while all is well.
const (
	// leastTimeout is the shortest wait for an answer: a host that is busy, or a process of ours that waits for a CPU,
	// takes milliseconds. Since nothing urges, it is an eighth of the interval, up to slowStep: a miss costs asks by
	// all members.
	leastTimeout = 10 * time.Millisecond
	// firstGap and mostGap are the times between asks of a member that waits for its first answer: twice as long each.
	firstGap = 20 * time.Millisecond
	mostGap  = 250 * time.Millisecond
	// downShare is how much more often than others a member that is down asks.
	downShare = 4
)

// mostRTT bounds what is believed of a round-trip time.
const mostRTT = 500 * time.Millisecond

// needHits is how many answers in a row a path that is down needs.
const needHits = 2

// maxAsks is how many asks are remembered.
const maxAsks = 32

// pathState is what is known of a target by a member.
type pathState uint8

const (
	pathNew  pathState = iota // it has not answered since the link came
	pathUp                    // it answered
	pathDown                  // it does not answer, and does by another member
)

// path is how a target answers by a member.
type path struct {
	t *target
	m *watched

	state pathState
	why   string // of pathDown
	hits  int    // answers in a row while down

	nextAsk time.Time
	lastAsk time.Time
	toAll   time.Time // of the last broadcast
	pending bool      // the last ask has no answer, and its time is not over
	open    int       // asks without an answer since the last one that had
	missed  int       // misses in a row
	gap     time.Duration

	asks       int    // asks remembered
	answers    uint32 // of the last asks, a bit each, the latest lowest
	lastAnswer time.Time
	via        int // the member by which the last answer arrived
	viaStreak  int // so many in a row, by the same MAC that asks …
	viaChanges int // … and how often it was another one than before, by any MAC
	rtt        time.Duration
	worst      time.Duration // the longest time of an answer lately
	other      frame.MAC     // another host that answered to the target's address …
	otherAt    time.Time     // … and when, see identity.go
	wants      frame.MAC     // that asked for this host from the target's address, not the target's …
	wantsAt    time.Time     // … and when

	roundAsks, roundAnswers int // in the target's round
	roundOwn                int // of the answers, those that the member received itself
}

// reset forgets what was observed, except for the round-trip time: the link went.
func (p *path) reset() { *p = path{t: p.t, m: p.m, rtt: p.rtt, worst: p.worst, via: p.via} }

// How a switch chooses is known after so many answers in a row by one member: it hashes; or after so many changes: it
// takes turns.
const (
	settled = 8
	turning = 3

	// Of the last asks. Where a switch takes turns and one member is deaf, all that are answered are so by another one.
	allAnswered = 1<<(2*settled) - 1
)

// noteVia notes by which member an answer arrived.
func (p *path) noteVia(via int) {
	if via != p.via {
		if p.viaStreak > 0 {
			p.viaChanges = min(p.viaChanges+1, turning)
		}
		p.via, p.viaStreak = via, 0
	}
	p.viaStreak = min(p.viaStreak+1, settled)
	if p.viaStreak == settled && p.answers&allAnswered == allAnswered {
		p.viaChanges = 0
	}
}

// isSettled reports whether answers arrive by one member always, takesTurns whether they do not.
func (p *path) isSettled() bool  { return p.viaStreak >= settled && !p.takesTurns() }
func (p *path) takesTurns() bool { return p.viaChanges >= turning }

// forgetVia forgets how a switch chooses.
func (p *path) forgetVia() { p.viaStreak, p.viaChanges = 0, 0 }

// noteAsk notes an ask that is sent at now.
func (p *path) noteAsk(now time.Time) {
	if !p.lastAnswer.Before(p.lastAsk) {
		p.open = 0 // older ones are lost
	}
	p.lastAsk, p.pending = now, true
	p.open = min(p.open+1, maxAsks)
	p.asks = min(p.asks+1, maxAsks)
	p.answers <<= 1
}

// noteAnswer notes an answer that arrived at now. late: this process stood still meanwhile, so the time says nothing.
// It returns false if none was open.
func (p *path) noteAnswer(now time.Time, late bool) bool {
	if p.open == 0 {
		return false
	}
	// Answers do not say which ask they are for. Of several the last one is assumed, so the time may be too short, and
	// only a longer one than known is believed.
	if s := min(now.Sub(p.lastAsk), mostRTT); !late && (p.open == 1 || s > p.rtt) {
		if p.rtt == 0 {
			p.rtt = s
		}
		p.rtt = max(p.rtt+(s-p.rtt)/8, 1)
		p.worst = max(s, p.worst+(s-p.worst)/8)
	}
	p.open--
	p.answers |= 1 << min(bits.TrailingZeros32(^p.answers), maxAsks-1)
	p.lastAnswer, p.pending, p.missed = now, false, 0
	return true
}

// timeout is how long an answer may take.
func (p *path) timeout(interval time.Duration) time.Duration {
	least := max(leastTimeout, min(interval/8, slowStep))
	return max(min(max(least, 4*p.rtt, p.worst+p.worst/2), interval), leastTimeout/2)
}

// step is how long an answer may take in a round. Answers that took long lately, as behind a queue that fills now and
// then, or by Wi-Fi that saves power, are waited for.
func (p *path) step() time.Duration {
	if p.worst > 2*fastStep {
		return max(2*p.rtt, p.worst+p.worst/4)
	}
	return 2 * p.rtt
}

// answering reports whether the last ask whose time is over had an answer.
func (p *path) answering() bool {
	return p.state != pathDown && !p.lastAnswer.IsZero() && p.missed == 0
}

// loss is the share of the remembered asks without an answer; one whose time is not over does not count.
func (p *path) loss() float64 {
	n, answers := p.asks, p.answers
	if p.pending {
		n, answers = n-1, answers>>1
	}
	if n <= 0 {
		return 0
	}
	return 1 - float64(bits.OnesCount32(answers&(1<<n-1)))/float64(n)
}
