// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"time"
)

// Limits of suspicion.
const (
	// leastSilence makes a member suspect that sends: a sample of 10 ms without a frame. What it costs if wrong is an
	// ask.
	leastSilence = 9 * time.Millisecond
	// loneSilence is that while no other member hears anything: then all may be silent for a reason.
	loneSilence = 25 * time.Millisecond
	// leastSent is how many frames a member has sent that hears nothing.
	leastSent = 2
	// silenceGaps is how many usual gaps between two frames a silence is at least.
	silenceGaps = 4
	// mostGapKnown bounds the usual gap.
	mostGapKnown = time.Second
	// recentSilence is how long a silence that ended by itself is remembered, half as long each time.
	recentSilence = 2 * time.Second
	// mostSilence bounds what is remembered of one.
	mostSilence = 100 * time.Millisecond

	// resentWindow and leastResent are a burst of TCP segments that are sent again.
	resentWindow = 100 * time.Millisecond
	leastResent  = 3

	// firstBackoff to lastBackoff are the times after a suspicion that was wrong, twice as long each; forgetBackoff
	// without one makes it short again.
	firstBackoff  = 20 * time.Millisecond
	lastBackoff   = 10 * time.Second
	forgetBackoff = 30 * time.Second
)

// backoff is how long no suspicion is acted on, because the last ones were wrong.
type backoff struct {
	wait   time.Duration
	until  time.Time
	spared bool // the round that runs has another cause
}

// cleared notes that a suspicion was wrong.
func (b *backoff) cleared(now time.Time) {
	if b.spared {
		b.spared = false
		return
	}
	if now.Sub(b.until) > forgetBackoff {
		b.wait = 0
	}
	b.wait = min(max(2*b.wait, firstBackoff), lastBackoff)
	b.until = now.Add(b.wait)
}

// allows reports whether a suspicion is acted on.
func (b *backoff) allows(now time.Time) bool { return !now.Before(b.until) }

// memberTraffic is what a member's counters say.
type memberTraffic struct {
	known    bool
	tx, rx   uint64
	heard    time.Time     // when it last heard a frame
	sent     uint64        // frames since then
	sentAt   time.Time     // when it last sent one
	gap      time.Duration // usual time between two frames that it hears
	silence  time.Duration // the longest one lately that ended by itself
	silentAt time.Time     // when silence was last made shorter

	unsentAt time.Time // when a sample last showed asks that had not left

	asked bool // a suspicion because of this silence was acted on: it is no news any more

	rateFrom   time.Time
	rateFrames uint64
	rate       float64 // frames per second
}

func (t *memberTraffic) reset() { *t = memberTraffic{} }

// resends finds bursts of TCP segments that are sent again.
type resends struct {
	known   bool
	total   uint64
	from    time.Time // of the window
	base    uint64    // total at its begin
	backoff backoff
}

// sampleAge is how long rates hold without another sample.
const sampleAge = time.Second

// Traffic handles a sample of the counters; t is borrowed.
func (w *Watches) Traffic(now time.Time, t *Traffic) {
	w.sampledAt = now
	if t.Late {
		w.stoodStill(now)
	}
	for _, s := range t.Members {
		if m := w.member(s.ID); m != nil {
			m.traffic.sample(now, s, t.Late)
			if m.state == Down {
				m.traffic.silence = 0 // it did not end by itself
			}
		}
	}
	least := uint64(leastResent)
	if w.cfg.Group {
		least = 1 // no member hears less because another one's frames do not arrive
	}
	burst := w.resends.sample(now, t.Retransmits, t.Late, least)
	if t.Late {
		return
	}
	began := false
	for _, m := range w.members {
		if cause := w.whySuspect(now, m); cause != "" && m.backoff.allows(now) && w.suspect(now, m, cause) {
			m.traffic.asked, began = true, true
			m.backoff.spared = false
		}
	}
	if burst > 0 && w.resends.backoff.allows(now) {
		w.resends.backoff.cleared(now)
		for _, m := range w.members {
			if m.Sends && m.asks() && now.Sub(m.traffic.sentAt) < resentWindow {
				began = w.suspect(now, m, whyResent(burst)) || began
			}
		}
	}
	w.prober.load(now, w)
	if began {
		w.update(now)
	}
}

func whyResent(n uint64) string {
	if n == 1 {
		return "a TCP segment was sent again"
	}
	return fmt.Sprintf("%d TCP segments were sent again within %v", n, resentWindow)
}

// sample handles the totals of one member.
func (t *memberTraffic) sample(now time.Time, s Moved, late bool) {
	if s.Unsent {
		t.unsentAt = now
	}
	tx, rx := s.TX-t.tx, s.RX-t.rx
	if !t.known || late || s.TX < t.tx || s.RX < t.rx {
		*t = memberTraffic{known: true, tx: s.TX, rx: s.RX, heard: now, gap: t.gap, silence: t.silence,
			silentAt: t.silentAt, unsentAt: t.unsentAt, rateFrom: now, rate: t.rate}
		return
	}
	t.tx, t.rx = s.TX, s.RX
	if tx > 0 {
		t.sentAt = now
	}
	if rx > 0 {
		heard, silence := now, s.Silence
		if !s.Heard.IsZero() {
			heard = s.Heard
			silence = min(s.Silence, heard.Sub(t.heard)) // what is longer began before a standstill, or another link
		} else if t.sent >= leastSent {
			silence = now.Sub(t.heard)
		}
		if silence > t.silence {
			t.silence, t.silentAt = min(silence, mostSilence), now
		}
		t.gap += (min(max(heard.Sub(t.heard), 0)/time.Duration(rx), mostGapKnown) - t.gap) / 4
		t.heard, t.sent, t.asked = heard, s.Sent, false
	} else {
		t.sent += tx
	}
	if t.silence > 0 && now.Sub(t.silentAt) > recentSilence {
		t.silence, t.silentAt = t.silence/2, now
	}
	t.rateFrames += tx + rx
	if d := now.Sub(t.rateFrom); d >= rateWindow {
		t.rate = float64(t.rateFrames) / d.Seconds()
		t.rateFrom, t.rateFrames = now, 0
	}
}

// rateWindow is how long frames are counted for a rate.
const rateWindow = 100 * time.Millisecond

// sample returns how many segments were sent again in the window, 0 if that is no burst.
func (r *resends) sample(now time.Time, total uint64, late bool, least uint64) uint64 {
	if !r.known || late || total < r.total || now.Sub(r.from) > resentWindow {
		was := r.total
		if !r.known || late || total < r.total {
			was = total
		}
		r.known, r.from, r.base = true, now, was
	}
	r.total = total
	if n := total - r.base; n >= least {
		r.from, r.base = now, total
		return n
	}
	return 0
}

// whySuspect says why m's counters make it suspect, "" if they do not. One silence makes it suspect once: in elb hosts
// answer by the member to which their address is given, and another one that sends to them may never hear any.
func (w *Watches) whySuspect(now time.Time, m *watched) string {
	t := &m.traffic
	if !m.Sends || !m.asks() || !m.admitted || m.state == Down || !t.known || t.asked || t.sent < leastSent {
		return ""
	}
	least := loneSilence
	for _, o := range w.members {
		if o != m && o.asks() && o.traffic.known && now.Sub(o.traffic.heard) < leastSilence {
			least = leastSilence
		}
	}
	silent := now.Sub(t.heard)
	if silent < max(least, silenceGaps*t.gap, t.silence*3/2) {
		return ""
	}
	return fmt.Sprintf("%s sent %d frames and has heard nothing for %v", m.Name, t.sent, silent.Round(time.Millisecond))
}

// suspect has the targets of m asked at once. It returns whether there is anything to ask.
func (w *Watches) suspect(now time.Time, m *watched, cause string) (asked bool) {
	for _, p := range m.paths {
		if p.state != pathDown && !p.t.silent && !p.t.foreign {
			w.startRound(now, p.t, m, true, cause)
			asked = true
		}
	}
	if w.prober.deciding() {
		w.prober.startRound(now, w, m, true, cause)
		asked = true
	}
	// The next one waits for the end of this one, however it ends.
	return asked
}
