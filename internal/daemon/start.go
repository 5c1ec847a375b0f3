// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"strings"

	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/launch"
	"nicteam/internal/managers"
	"nicteam/internal/panics"
	"nicteam/internal/selftest"
	"nicteam/internal/settings"
	"nicteam/internal/supervisor"
)

// startup is the start of a team. On an error session.revert puts the host back.
//
// The order keeps the host reachable: adapter and sockets work before any address moves; the host's own reception on a
// member ends only after the member's frames arrive by the adapter; addresses are in two places for a moment, never in
// none.
type startup struct {
	*session
	config settings.Config // Members: those that are present
	resume bool            // the process before this one left its journal, and maybe its adapter
	strict bool            // Options.Strict
	boot   bool            // Options.WaitForNICs
	rep    *launch.Reporter

	prepared *launch.Prepared // nil: this process looks itself
	before   *settings.Config // running configuration of the process before; nil: none

	change control.ChangeOptions // of the create
	test   *selftest.Test        // of the create; nil: none
	taken  []host.NIC            // the members before they were taken over

	downByHand []int // ifindexes of members that stay down

	// Of a warm start.
	next    settings.Config // live settings that have changed since; zero: none
	renamed []host.Renamed  // members whose name or MAC has changed
}

// start takes the NICs over and returns when the team forwards, or would with a link.
func start(ctx context.Context, o Options, rep *launch.Reporter) (*session, error) {
	s := &session{dirs: o.Dirs, log: o.Log, panics: panics.New(o.Log.With("team", o.Config.Team)),
		managers:   managers.New(managers.Options{Team: o.Config.Team, StateDir: o.StateDir, Log: o.Log}),
		life:       newLifetime(o.ProcessFile(o.Config.Team), o.versionText()),
		supervisor: o.Supervisor, checkNext: o.CheckNext, deleted: make(chan struct{}), handedOver: make(chan struct{}),
		pendingChanged: make(chan struct{}, 1), unmade: o.record,
		nics: launch.NewNICLocks(o.Config.Team, o.RunDir), watchTargets: newWatchTargets()}
	s.dhcp = newDHCPClients(s)
	u := &startup{session: s, config: o.Config, strict: o.Strict, boot: o.WaitForNICs, rep: rep, before: o.running,
		change: o.Change}
	if o.Supervisor.Kind() == supervisor.Systemd {
		u.prepared = o.Prepared(o.Config.Team)
	}
	if err := u.openHost(); err != nil {
		return nil, err
	}
	u.resume = s.host.HasJournal()
	s.moves.watched = s.host.HasLeaseWatcher()
	if o.WaitForNICs && !u.resume {
		u.awaitNICs(ctx, o.Config.Members)
	}
	if u.resume {
		s.life.start = startCold
	}
	if err := s.life.save(false); err != nil {
		s.log.Warn("start not counted", "team", o.Config.Team, "err", err)
	}
	warm, err := false, error(nil)
	if u.resume {
		warm, err = u.warmStart(ctx)
	} else {
		u.dropInheritance() // the host was given back without them
	}
	if err == nil && !warm {
		err = u.coldStart(ctx, o)
	}
	if err == nil {
		u.startDHCP(ctx)
		err = ctx.Err()
	}
	if err == nil && len(rep.Undelivered) > 0 {
		err = s.team.AddStartNotes(ctx, rep.Undelivered...)
	}
	if err != nil {
		return nil, s.revert(o.Config.Team, err)
	}
	return s, nil
}

// coldStart takes the NICs over, or resumes by the journal of the process before.
func (u *startup) coldStart(ctx context.Context, o Options) error {
	u.config.Members, u.missing = u.splitPresent(o.Config.Members)
	err := o.Exclusive(u.claimNICs)
	if err == nil {
		u.beginCreateTest()
		err = u.takeOver(ctx)
	}
	if err == nil {
		err = u.startDatapath(ctx)
	}
	if err == nil {
		err = u.host.DropInherited(true)
	}
	if err == nil {
		err = u.checkCreate(ctx, true)
	}
	if err == nil {
		u.recordRestart()
	}
	return err
}

// openHost opens the host. A team cannot resume from a journal that has lost records: then the NICs are given back.
// NICs that were absent when an earlier team ended are given back before anything reads them.
func (u *startup) openHost() (err error) {
	u.host, err = host.Open(host.Options{StateDir: u.dirs.StateDir, Team: u.config.Team,
		Members: u.config.MemberNames(), Logger: u.log, Taken: launch.TeamHolding, Store: u.supervisor,
		Adapter: u.adapterInAdvance()})
	if err != nil {
		return err
	}
	// Of an adapter that was deleted while nobody looked, nobody else has the addresses.
	if gone := u.host.AdapterGone(); gone || u.host.JournalDamaged() {
		if gone {
			u.rep.Warn("the adapter was deleted while no process ran: the NICs were released and taken over anew")
		}
		back, err := u.host.Restore()
		u.rep.Warn(back.Notes...)
		if err != nil {
			_ = u.host.Close()
			return err
		}
	}
	if note := u.host.JournalNote(); note != "" {
		u.rep.Warn(note)
	}
	back, err := u.host.RestoreAbsent()
	u.rep.Warn(back.Notes...)
	if err != nil {
		_ = u.host.Close()
	}
	return err
}

// claimNICs checks the NICs, locks them and records in the journal whose they are. A strict start follows a create that
// has asked for consent; at a later start there is nobody to ask.
func (u *startup) claimNICs() error {
	if !u.resume {
		consent := host.ConsentGiven | host.ConsentForced
		if u.strict {
			consent = host.ConsentChecked | host.ConsentForced
		}
		others, err := launch.Owners(u.dirs, u.config.Team)
		if err != nil {
			return err
		}
		warnings, problem := u.host.Check(u.config, others, consent)
		if u.prepared != nil && u.prepared.Checked {
			warnings = u.prepared.Warnings
		}
		for _, w := range warnings {
			u.rep.Warn(w)
		}
		if problem != nil {
			return problem
		}
	}
	if err := u.lockNICs("create "+u.config.Team, u.config.MemberNames()); err != nil {
		return err
	}
	if err := u.host.Begin(); err != nil {
		return err
	}
	members, err := u.host.RecordMembers(u.config.MemberNames())
	if err != nil {
		return err
	}
	u.host.PrepareIsolation(members)
	return nil
}

// takeOver makes or opens the adapter, joins the members and moves the addresses.
func (u *startup) takeOver(ctx context.Context) error {
	names := u.config.MemberNames()
	nics := make([]host.NIC, len(names))
	for i, name := range names {
		var err error
		if nics[i], err = u.host.NIC(name); err != nil {
			return err
		}
	}
	u.taken = nics
	mtu := u.adapterMTU(nics)
	made, err := u.setUpAdapter(nics, mtu)
	if err != nil {
		return err
	}
	if err := u.startTeam(nil); err != nil {
		return err
	}
	if err := u.warnMissing(ctx); err != nil {
		return err
	}
	if u.config.Address.FromMembers() {
		if err := u.host.RebindConnections(names); err != nil {
			return err
		}
	}
	u.test.Settle(ctx)
	for i, name := range names {
		if err := u.joinNIC(ctx, name, u.config.Members[i].Weight, nics[i]); err != nil {
			return err
		}
	}
	u.rep.Step("members %s: frames pass", strings.Join(names, ", "))
	if err := u.configureAddresses(names); err != nil {
		return err
	}
	setup := host.MemberSetup{MTU: mtu, GRO: u.config.GRO, KeepLeases: u.moves.watched,
		KeepDown: u.downByHand}
	if err := u.host.StripAll(names, setup); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	u.watchTargets.settle()
	if u.resume && !made && u.config.Address.FromMembers() {
		if err := u.host.JournalRemoved(u.adapter.Index()); err != nil {
			return err
		}
	}
	u.mtu = mtu
	if err := u.syncLinks(ctx); err != nil {
		return err
	}
	if err := u.team.Announce(ctx); err != nil {
		return err
	}
	u.test.Through(u.adapterName, u.adapter.Index())
	u.tellManagers(ctx)
	if why := u.awaitForwarding(ctx, u.patience()); why != "" {
		if err := u.checkCreate(ctx, false); err != nil {
			return err
		}
		u.rep.WarnOnce(why)
	}
	u.leases.noClient = !u.hasLeaseClient()
	u.team.Record("takeover", "", "members "+strings.Join(names, ", "))
	return ctx.Err()
}

// startDatapath engages the fast path if it is wanted and possible. The relay moves the frames before.
func (u *startup) startDatapath(ctx context.Context) error {
	if err := u.datapath.start(u.config.Datapath, u.strict); err != nil {
		return launch.FastpathProblem("start "+u.config.Team, err)
	}
	// Engaging takes most of the time of a start. Who interrupts it must not get a team that ends and leaves its
	// adapter.
	if err := ctx.Err(); err != nil {
		return err
	}
	st := u.team.Status()
	u.rep.Step("data path: %s (%s)", st.Datapath, st.DatapathReason)
	return nil
}

// configureAddresses moves or sets the addresses of the adapter, as configured.
func (u *startup) configureAddresses(names []string) error {
	index, c := u.adapter.Index(), u.config
	switch c.Address {
	case settings.AddressAuto, settings.AddressDHCP:
		if err := u.host.Adopt(index, names); err != nil {
			return err
		}
		u.rep.Step("addresses and routes: from the members to %s", c.Team)
	case settings.AddressGiven:
		if err := u.host.AssignAddresses(index, c.Addresses, c.Gateway); err != nil {
			return err
		}
		u.rep.Step("addresses: %s", c.AddressList())
	}
	return nil
}

// adapterInAdvance is the ifindex of a device that UnitPrepare made, 0 for none.
func (u *startup) adapterInAdvance() int {
	if u.prepared == nil {
		return 0
	}
	return u.prepared.Adapter
}

func (u *startup) hasLeaseClient() bool {
	if manager, _ := u.managers.Serving(); manager != "" {
		return true
	}
	if u.prepared != nil {
		return u.prepared.LeaseClient
	}
	return host.HasLeaseClient()
}
