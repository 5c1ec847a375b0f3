// SPDX-License-Identifier: MIT

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Bonding gathers what node_exporter's bonding collector tells of the kernel's bonds, for teams. Names, types, labels
// and help texts are the collector's own (collector/bonding_linux.go in node_exporter): a second help text for a name
// would make its scrapes fail.
type Bonding struct {
	Host Host
	// Members is how many members a team has whose process does not answer: it then has so many slaves and none of them
	// active. False: not known, and the team is left out.
	Members func(name string) (int, bool)
}

var (
	slavesDesc = prometheus.NewDesc("node_bonding_slaves", "Number of configured slaves per bonding interface.",
		[]string{"master"}, nil)
	activeSlavesDesc = prometheus.NewDesc("node_bonding_active", "Number of active slaves per bonding interface.",
		[]string{"master"}, nil)
)

// Gather implements prometheus.Gatherer.
func (b Bonding) Gather() ([]*dto.MetricFamily, error) {
	names, answers, err := b.Host.answers()
	if err != nil {
		return nil, err
	}
	var bonds bondCollector
	for i, name := range names {
		bond := bond{master: name}
		known := false
		if answers[i] == nil {
			var n int
			n, known = b.Members(name)
			bond.slaves = float64(n)
		} else {
			var active bool
			bond.slaves, known = gaugeOf(answers[i], "nicteam_team_members")
			bond.active, active = gaugeOf(answers[i], "nicteam_team_members_active")
			known = known && active // else the team starts
		}
		if known {
			bonds = append(bonds, bond)
		}
	}
	r := prometheus.NewRegistry()
	r.MustRegister(bonds)
	return r.Gather()
}

// gaugeOf returns the only sample of a name in a team's answer.
func gaugeOf(families map[string]*dto.MetricFamily, name string) (float64, bool) {
	list := families[name].GetMetric()
	if len(list) != 1 || list[0].Gauge == nil {
		return 0, false
	}
	return list[0].Gauge.GetValue(), true
}

// bond is a team as node_exporter tells of a bond.
type bond struct {
	master         string
	slaves, active float64
}

type bondCollector []bond

func (c bondCollector) Describe(to chan<- *prometheus.Desc) { to <- slavesDesc; to <- activeSlavesDesc }

func (c bondCollector) Collect(to chan<- prometheus.Metric) {
	for _, b := range c {
		to <- prometheus.MustNewConstMetric(slavesDesc, prometheus.GaugeValue, b.slaves, b.master)
		to <- prometheus.MustNewConstMetric(activeSlavesDesc, prometheus.GaugeValue, b.active, b.master)
	}
}
