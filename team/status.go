// SPDX-License-Identifier: MIT

package team

import (
	"maps"
	"reflect"
	"slices"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

// Status returns the status without counters and without what only the host knows of the adapter.
func (l *Loop) Status() *api.Status {
	s := &api.Status{Schema: api.StatusSchema, Team: l.cfg.Team, Mode: l.cfg.Mode.String(), State: l.state,
		Reason: l.reason,
		Since:  l.since, Active: l.memberName(activeOf(l.plan)), Balance: l.cfg.Balance,
		Datapath: l.datapath, DatapathReason: l.datapathReason,
		Settings: settingsStatus(&l.cfg), Members: []api.Member{}, Warnings: []string{}}
	s.Adapter = api.Adapter{MAC: l.adapter.String(), SpeedBps: l.speed().Bps, KernelCounts: l.kernelCounts(),
		Addresses: []string{}}
	for _, m := range l.members {
		st := api.Member{Name: m.link.Name, Index: m.link.Index, MAC: m.link.MAC.String(), Driver: m.info.Driver,
			Link: m.linkKnown && m.linkState.Up && !m.absent, SpeedBps: m.linkState.Link.SpeedBps,
			Duplex: m.linkState.Link.Duplex,
			MTU:    m.info.MTU, Weight: m.weight, Failures: m.failures}
		st.RateBps, st.RateSource = l.rateOf(m)
		st.State, st.Reason = m.state(l.plan)
		st.Watch, st.Damped = l.watchStatus(m), l.dampedStatus(m)
		if p := l.portOf(m); p != nil {
			st.LACP = memberLACP(p)
			if m.usable && !m.draining && !m.absent && !m.reopening {
				st.State, st.Reason = l.portState(m, p)
			}
		}
		if l.plan != nil {
			// A Plan may let all collect; a member without link still cannot.
			st.Collecting, st.Distributing = st.Link && l.plan.Collecting.Has(m.id), l.plan.Distributing.Has(m.id)
		}
		s.Members = append(s.Members, st)
	}
	if l.agreement != nil {
		s.LACP = lacpStatus(l.agreement)
	}
	if shortest(l.plan) {
		s.FlowMoves = &api.FlowMoves{Forced: l.forcedMoves}
	}
	for _, list := range []map[string]string{l.warnings, l.advice} {
		for _, key := range slices.Sorted(maps.Keys(list)) {
			s.Warnings = append(s.Warnings, list[key])
		}
	}
	s.Warnings = append(s.Warnings, l.startNotes...)
	return s
}

// kernelCounts says what the kernel's counters of the adapter include.
func (l *Loop) kernelCounts() string {
	if l.datapath == "fastpath" {
		return "relayed"
	}
	return "all"
}

// statusRows has the row of each field of SettingsStatus.
var statusRows = func() (rows []*settings.Setting) {
	for f := range reflect.TypeFor[api.Settings]().Fields() {
		for i := range settings.Table {
			if s := &settings.Table[i]; s.JSONKey() == f.Tag.Get("json") {
				rows = append(rows, s)
			}
		}
	}
	return rows
}()

func settingsStatus(c *settings.Config) (status api.Settings) {
	v := reflect.ValueOf(&status).Elem()
	for i, s := range statusRows {
		v.Field(i).Set(reflect.ValueOf(s.JSON(c)).Convert(v.Field(i).Type()))
	}
	return status
}

func lacpStatus(a *modes.Agreement) *api.LACP {
	return &api.LACP{Aggregator: a.Active, Actor: lacpSystem(a.System, a.Key),
		Partner: lacpSystem(a.Partner.System, a.Partner.Key)}
}

func memberLACP(p *lacp.PortStatus) *api.MemberLACP {
	return &api.MemberLACP{Actor: lacpPort(&p.Actor), Partner: lacpPort(&p.Partner), Aggregator: p.Aggregator,
		Receive: p.Receive.String(), Periodic: p.Periodic.String(), Mux: p.Mux.String(), Selected: p.Selected.String(),
		ActorChurn: p.ActorChurn.String(), PartnerChurn: p.PartnerChurn.String(), Why: p.Why,
		Counters: api.LACPCounters{PDUsIn: p.Counters.PDUsIn, PDUsOut: p.Counters.PDUsOut,
			MarkersIn: p.Counters.MarkersIn, MarkersOut: p.Counters.MarkersOut, Bad: p.Counters.Bad,
			Foreign: p.Counters.Foreign}}
}

func lacpPort(i *lacp.Info) api.LACPPort {
	return api.LACPPort{LACPSystem: lacpSystem(i.System, i.Key), Port: i.Port, PortPriority: i.PortPriority,
		State: i.State.Names()}
}

func lacpSystem(s lacp.SystemID, key uint16) api.LACPSystem {
	return api.LACPSystem{System: wireMAC(s.MAC), SystemPriority: s.Priority, Key: key}
}

// wireMAC writes a MAC with colons, zero too.
func wireMAC(m frame.MAC) string { return m.HardwareAddr().String() }
