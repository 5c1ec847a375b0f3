// SPDX-License-Identifier: MIT

package metrics

import (
	"strconv"

	"nicteam/internal/api"
)

// verdicts are the values of the label verdict.
var verdicts = []string{"unknown", "waiting", "up", "suspect", "down"}

var (
	verdictDesc = desc("member_verdict",
		"Whether this is what the link watches say about the member; no series where only the carrier is watched.",
		"member", "verdict")
	dampedDesc  = desc("member_damped", "Whether the member waits because it failed too often.", "member")
	answersDesc = desc("probe_answers", "Whether the target answers by the member.", probeLabels...)
	rttDesc     = desc("probe_rtt_seconds",
		"Smoothed round trip time to the target by the member; left out before the first answer.", probeLabels...)
	lossDesc = desc("probe_loss_ratio", "Share of the last 32 asks of the target by the member without an answer.",
		probeLabels...)
)

// probeLabels name a target: vlan is empty without a tag, target with probes between members.
var probeLabels = []string{"member", "watch", "target", "vlan"}

// watch sends what the link watches say about a member.
func (s sender) watch(m *api.Member) {
	s.gauge(dampedDesc, boolValue(m.Damped != nil), m.Name)
	if m.Watch == nil {
		return
	}
	for _, v := range verdicts {
		s.gauge(verdictDesc, boolValue(v == m.Watch.Verdict), m.Name, v)
	}
	for i := range m.Watch.Asked {
		t := &m.Watch.Asked[i]
		vlan := ""
		if t.VLAN != 0 {
			vlan = strconv.Itoa(int(t.VLAN))
		}
		labels := []string{m.Name, t.Watch, t.IP, vlan}
		s.gauge(answersDesc, boolValue(t.Answers), labels...)
		s.gauge(lossDesc, t.Loss, labels...)
		if t.RTT > 0 {
			s.gauge(rttDesc, float64(t.RTT)/1e9, labels...)
		}
	}
}
