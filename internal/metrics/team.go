// SPDX-License-Identifier: MIT

package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"nicteam/internal/api"
	"nicteam/internal/frame"
)

// Source is a running team.
type Source interface {
	Status() *api.Status // nil while the team starts
	Totals() *api.Totals
}

// Team collects the metrics of one team. Failovers may be nil: none counted.
type Team struct {
	Source    Source
	Failovers *Failovers
	Version   string // of the team's process
}

// The directions, seen from this host.
const (
	rx = iota
	tx
)

var directions = [2]string{rx: "receive", tx: "transmit"}

// helps is the help of each name.
var helps = map[string]string{}

func desc(name, help string, labels ...string) *prometheus.Desc {
	helps["nicteam_"+name] = help
	return prometheus.NewDesc("nicteam_"+name, help, append([]string{"team"}, labels...), nil)
}

func both(name, help string, labels ...string) (d [2]*prometheus.Desc) {
	for i, direction := range directions {
		d[i] = desc(direction+"_"+name, help, labels...)
	}
	return d
}

var (
	upDesc    = desc("up", "Whether the team's process answers.")
	buildDesc = desc("build_info", "What the team's process was built from.", "version", "goversion")
	infoDesc  = desc("team_info", "The team's mode, data path and adapter, and the active member, "+
		"if one carries all traffic.", "mode", "datapath", "adapter", "active")
	membersDesc = desc("team_members", "Members of the team.")
	activeDesc  = desc("team_members_active", "Members that are usable: up, or standing by.")
	memberDesc  = desc("member_up", "Whether the member is usable: up, or standing by.", "member")
	speedDesc   = desc("member_speed_bytes",
		"Speed of the member's link in bytes per second; left out where it is unknown.", "member")
	failuresDesc = desc("member_link_failures_total", "How often the member became unusable.", "member")
	bytesDesc    = both("bytes_total", "Bytes on the wire without FCS, since the member joined.", "member")
	packetsDesc  = both("packets_total", "Frames on the wire's side of segmentation, since the member joined.",
		"member")
	dropsDesc = both("drops_total",
		"Frames dropped. A healthy team has many with not-ours, standby and reflected; without member: by the "+
			"adapter.", "member", "reason")
	protoBytes = desc("protocol_bytes_total", "Bytes on the wire without FCS, of members that have left too.",
		"direction", "protocol")
	protoPackets = desc("protocol_packets_total",
		"Frames on the wire's side of segmentation, of members that have left too.", "direction", "protocol")
	failoversDesc = desc("failovers_total", "How often a member that carried traffic was lost.")
	durationDesc  = desc("failover_duration_seconds",
		"From the detected loss of a member until its traffic has moved.")
	movesDesc = desc("flow_moves_total", "Flows that were moved to another member though they did not pause.", "kind")
)

// descs lists all metrics.
var descs = []*prometheus.Desc{upDesc, buildDesc, infoDesc, membersDesc, activeDesc, memberDesc,
	speedDesc, failuresDesc, bytesDesc[rx], bytesDesc[tx],
	packetsDesc[rx], packetsDesc[tx], dropsDesc[rx], dropsDesc[tx], protoBytes, protoPackets, failoversDesc,
	durationDesc, movesDesc,
	lacpStateDesc, lacpPDUsDesc, lacpMarkersDesc, lacpBadDesc,
	verdictDesc, dampedDesc, answersDesc, rttDesc, lossDesc}

// Describe implements prometheus.Collector.
func (t Team) Describe(to chan<- *prometheus.Desc) {
	for _, d := range descs {
		to <- d
	}
}

// Collect implements prometheus.Collector from one reading of the counters.
func (t Team) Collect(to chan<- prometheus.Metric) {
	st := t.Source.Status()
	if st == nil {
		return
	}
	total := t.Source.Totals()
	out := sender{to, st.Team}
	out.gauge(upDesc, 1)
	out.gauge(buildDesc, 1, t.Version, runtime.Version())
	out.gauge(infoDesc, 1, st.Mode, st.Datapath, st.Adapter.Name, st.Active)

	usable := 0
	for i := range st.Members {
		m := &st.Members[i]
		up := m.State == "up" || m.State == "standby"
		out.gauge(memberDesc, boolValue(up), m.Name)
		usable += int(boolValue(up))
		if m.SpeedBps > 0 {
			out.gauge(speedDesc, float64(m.SpeedBps)/8, m.Name)
		}
		out.counter(failuresDesc, m.Failures, m.Name)
		out.lacp(m)
		out.watch(m)
	}
	out.gauge(membersDesc, float64(len(st.Members)))
	out.gauge(activeDesc, float64(usable))

	for _, m := range total.Members {
		for d, c := range [2]frame.Count{m.RX, m.TX} {
			out.counter(bytesDesc[d], c.Bytes, m.Name)
			out.counter(packetsDesc[d], c.Frames, m.Name)
		}
		out.drops(rx, m.Name, m.RXDrops)
		out.drops(tx, m.Name, m.TXDrops)
	}
	out.drops(tx, "", total.AdapterDrops)
	for _, p := range total.Protocols {
		for d, c := range [2]frame.Count{p.RX, p.TX} {
			out.counter(protoBytes, c.Bytes, directions[d], p.Name)
			out.counter(protoPackets, c.Frames, directions[d], p.Name)
		}
	}

	t.Failovers.collect(out)
	if st.FlowMoves != nil {
		out.counter(movesDesc, st.FlowMoves.Forced, "forced")
	}
}

func boolValue(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// sender sends the metrics of one team.
type sender struct {
	to   chan<- prometheus.Metric
	team string
}

func (s sender) send(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, kind, v, append([]string{s.team}, labels...)...)
}

func (s sender) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.send(d, prometheus.GaugeValue, v, labels...)
}

func (s sender) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s.send(d, prometheus.CounterValue, float64(v), labels...)
}

func (s sender) drops(direction int, member string, list []api.DropTotal) {
	for _, d := range list {
		s.counter(dropsDesc[direction], d.Frames, member, d.Reason)
	}
}
