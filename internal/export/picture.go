// SPDX-License-Identifier: MIT

package export

import (
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

// data returns the chart's data: the team's members in their order, then those that have left.
func (t *Traffic) data() chart.Data {
	if n := len(t.History.Covered) - 1; n > 0 && !rateKnown(t.History.Covered[n]) && rateKnown(t.History.Covered[n-1]) {
		complete := *t.History // the last column has just begun
		complete.Covered, complete.To = complete.Covered[:n], complete.To.Add(-time.Duration(complete.Step))
		t = &Traffic{History: &complete, Status: t.Status, Location: t.Location}
	}
	h := t.History
	d := chart.Data{Name: t.title(), End: h.To.In(t.Location), Step: time.Duration(h.Step),
		Total: t.series("", h.RX, h.TX), Events: t.marks()}
	for _, m := range t.members() {
		s := t.series(m.Name, m.RX, m.TX)
		d.Members = append(d.Members, chart.Member{Series: s, State: m.state, Up: m.up, Link: m.bps})
	}
	for _, p := range h.Protocols {
		d.Protocols = append(d.Protocols, t.series(api.ProtocolTitle(p.Name), p.RX, p.TX))
	}
	return d
}

func (t *Traffic) title() string {
	usable := 0
	for _, m := range t.Status.Members {
		if m.State == "up" || m.State == "standby" {
			usable++
		}
	}
	name := t.History.Team
	if t.History.Member != "" {
		name += "/" + t.History.Member
	}
	return fmt.Sprintf("%s · %s · %d/%d up", name, t.Status.Mode, usable, len(t.Status.Members))
}

func (t *Traffic) series(name string, rx, tx api.SeriesColumns) chart.Series {
	return chart.Series{Name: name, In: t.bins(rx), Out: t.bins(tx)}
}

func (t *Traffic) bins(c api.SeriesColumns) []chart.Bin {
	bins := make([]chart.Bin, len(t.History.Covered))
	for i, covered := range t.History.Covered {
		if !rateKnown(covered) {
			continue
		}
		s := time.Duration(covered).Seconds()
		bins[i] = chart.Bin{Known: true, Bytes: float64(at(c.Bytes, i)) / s, Frames: float64(at(c.Frames, i)) / s,
			MaxBytes: float64(at(c.BytesPeak, i)), MaxFrames: float64(at(c.FramesPeak, i))}
	}
	return bins
}

// rateKnown reports whether so many nanoseconds suffice for a rate; what a few milliseconds carried is none.
func rateKnown(covered int64) bool { return time.Duration(covered) >= time.Second/2 }

// at returns 0 where a list is left out because nothing was carried.
func at(list []uint64, i int) uint64 {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// member is a member's traffic and its present state.
type member struct {
	api.NamedColumns
	state string
	up    bool
	bps   float64
}

func (t *Traffic) members() (all []member) {
	carried := map[string]api.NamedColumns{}
	for _, m := range t.History.Members {
		carried[m.Name] = m
	}
	if name := t.History.Member; name != "" {
		carried[name] = api.NamedColumns{Name: name, RX: t.History.RX, TX: t.History.TX}
	}
	present := map[string]bool{}
	for _, m := range t.Status.Members {
		present[m.Name] = true
		if t.History.Member != "" && t.History.Member != m.Name {
			continue
		}
		c := carried[m.Name]
		c.Name = m.Name
		all = append(all, member{c, m.State, m.State == "up" || m.State == "standby", float64(m.SpeedBps)})
	}
	for _, m := range t.History.Members {
		if !present[m.Name] {
			all = append(all, member{NamedColumns: m, state: "left"})
		}
	}
	if name := t.History.Member; name != "" && !present[name] {
		all = append(all, member{NamedColumns: carried[name], state: "left"})
	}
	return all
}
