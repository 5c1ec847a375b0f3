// SPDX-License-Identifier: MIT

package monitor

import (
	"time"

	"nicteam/internal/frame"
)

// broadcastGap is the least time between two broadcasts of a member to other teams.
const broadcastGap = time.Second

// wantsForeign reports whether other teams are asked: two members alone cannot tell who of them is at fault.
func (p *prober) wantsForeign(w *Watches) bool {
	if !p.deciding() || w.askers() != 2 {
		return false
	}
	fault := p.broken
	p.ring(w, func(pr *pair, from, to *watched) {
		fault = fault || pr.failed || p.foreignDown(from) || p.foreignDown(to)
	})
	return fault
}

// foreignDown reports whether m is down because another team answers the other member only.
func (p *prober) foreignDown(m *watched) bool {
	f := m.path(p.foreign)
	return f != nil && f.state == pathDown
}

// askForeign returns an ask for other teams: to the one that answered last, else, once a second, to all. nil: it is too
// soon for that.
func (p *prober) askForeign(now time.Time, w *Watches, a *path, peer frame.MAC) []byte {
	m := a.m
	if peer == 0 {
		peer = p.foreign.mac
	}
	if peer == 0 {
		if now.Sub(m.probed.broadcastAt) < broadcastGap {
			return nil
		}
		m.probed.broadcastAt = now
		peer = frame.Broadcast
	}
	m.probed.seq++
	f := frame.Probe{Op: frame.ProbeAsk, Dst: peer, Src: m.MAC, Team: w.cfg.Team, From: uint16(m.ID),
		Seq: m.probed.seq, Sent: int64(now.Sub(p.epoch))}
	return f.Frame()
}

// answerForeign answers another team that asks.
func (p *prober) answerForeign(now time.Time, w *Watches, m *watched, b *frame.Probe) {
	if b.Src == 0 || b.Src.Multicast() || w.byMAC(b.Src, -1) != nil {
		return
	}
	if now.Sub(p.answersAt) >= time.Second {
		p.answersAt, p.answers = now, 0
	}
	if p.answers++; p.answers > answerRate {
		return
	}
	f := frame.Probe{Op: frame.ProbeAnswer, Dst: b.Src, Src: m.MAC, Team: b.Team, From: b.From, To: b.To, Seq: b.Seq,
		Sent: b.Sent}
	w.send(m, f.Frame())
}

// clearForeign ends what other teams said about the two members of a pair that works again in both directions.
func (p *prober) clearForeign(w *Watches, pr *pair) {
	back := p.pairs[pairKey{pr.to, pr.from}]
	if !pr.works || back == nil || !back.works {
		return
	}
	for _, id := range []int{pr.from, pr.to} {
		if m := w.member(id); p.foreignDown(m) {
			f := m.path(p.foreign)
			f.state, f.why = pathUp, ""
		}
	}
}
