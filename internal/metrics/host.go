// SPDX-License-Identifier: MIT

package metrics

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Host gathers the metrics of all teams of this host from their processes. A team whose answer is missing or malformed
// has nicteam_up 0; the others are not affected.
type Host struct {
	Context context.Context
	// lists the teams that have a socket; called at each Gather
	Teams func() ([]string, error)
	Ask   func(ctx context.Context, name string) (text []byte, _ error) // GET /metrics; it bounds its own time
	// called for each team that does not answer; may be nil
	Failed func(name string, err error)
}

// Gather implements prometheus.Gatherer.
func (h Host) Gather() ([]*dto.MetricFamily, error) {
	names, answers, err := h.answers()
	if err != nil {
		return nil, err // an empty answer would mean that no team runs
	}
	var teams prometheus.Gatherers
	for i, name := range names {
		if answers[i] == nil {
			teams = append(teams, downTeam(name))
			continue
		}
		teams = append(teams, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			list := make([]*dto.MetricFamily, 0, len(answers[i]))
			for _, f := range answers[i] {
				list = append(list, f)
			}
			return list, nil
		}))
	}
	return teams.Gather()
}

// answers asks all teams at once; the answer of one that does not answer is nil.
func (h Host) answers() (names []string, answers []map[string]*dto.MetricFamily, err error) {
	if names, err = h.Teams(); err != nil {
		return nil, nil, err
	}
	answers = make([]map[string]*dto.MetricFamily, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			var err error
			if answers[i], err = h.ask(name); err != nil && h.Failed != nil {
				h.Failed(name, err)
			}
		})
	}
	all.Wait()
	return names, answers, nil
}

// ask returns the metrics of one team.
func (h Host) ask(name string) (map[string]*dto.MetricFamily, error) {
	text, err := h.Ask(h.Context, name)
	if err != nil {
		return nil, err
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", name, err)
	}
	for name, f := range families { // a process of another version may have another help text
		if text, ok := helps[name]; ok {
			f.Help = &text
		}
	}
	return families, nil
}

// downTeam gathers nicteam_up 0 of a team that does not answer.
func downTeam(name string) prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(downCollector(name))
	return r
}

type downCollector string

func (a downCollector) Describe(to chan<- *prometheus.Desc) { to <- upDesc }

func (a downCollector) Collect(to chan<- prometheus.Metric) { sender{to, string(a)}.gauge(upDesc, 0) }
