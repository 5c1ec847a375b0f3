package daemon

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"nicteam/internal/fastpath"
	"nicteam/internal/host"
	"nicteam/internal/host/journal"
	"nicteam/internal/launch"
	"nicteam/internal/panics"
	"nicteam/internal/relay"
	"nicteam/internal/settings"
	"nicteam/internal/tap"
	"nicteam/team"
)

// session is a team at work: everything that its process holds.
type session struct {
	dirs   launch.Dirs
	log    *slog.Logger
	panics *panics.Keeper

	host     *host.Host
	nics     *launch.NICLocks
	adapter  *tap.Adapter
	path     *fastpath.Path
	datapath *datapathSelector
	team     *team.Team

	follower *host.Follower

	stopTeam context.CancelFunc
	teamDone chan struct{} // closed when the control loop and what feeds it have ended
	failed   chan error    // the control loop ended though nobody had asked it to

	filters          filterWarnings
	changeMu         sync.Mutex                  // one change of members or settings at a time
	missing          []settings.MemberConfig     // configured, and not there
	identified       map[string]journal.Identity // NICs with the names of members that are away
	mtu              int                         // the adapter's, which the members have, too …
	reportedMTU      int                         // … as the control loop was told
	adapterName      string                      // the adapter's
	adapterUp        bool                        // the adapter is, as the control loop was told
	moves            moveLimiter                 // of what came to members late
	dampedText       string
	ignoredAddresses map[string]bool // what was told of things on members that are left there
	leases           leases
	upperAddresses   map[host.Behind]bool // addresses of links on the adapter
	deleted          chan struct{}
	deleteOnce       sync.Once

	historyMu      sync.Mutex // the files of the past, and gone
	historyDropped bool       // the team is no more: nothing is kept
}

// start takes the NICs over and returns when the team forwards, or when it would if a cable were in. On an error the host is as it was.
//
// The order keeps the host reachable: the adapter and the sockets work before any address moves; a member's own
// reception ends only after its frames come by the adapter; addresses are in two places for a moment, never in none.
func start(ctx context.Context, o Options, rep *launch.Reporter) (s *session, err error) {
	c := o.Config
	s = &session{dirs: o.Dirs, log: o.Log, panics: panics.New(o.Log.With("team", c.Team)), deleted: make(chan struct{}), nics: launch.NewNICLocks(c.Team, o.RunDir)}
	if err := s.openHost(o, rep); err != nil {
		return nil, err
	}
	c.Members, s.missing = s.splitPresent(c.Members)
	again := s.host.Journalled()
	err = o.Exclusive(func() error { return s.claimNICs(c, again, o.Strict, rep) })
	if err == nil {
		err = s.takeOver(ctx, c, again, o.Strict, rep)
	}
	if err == nil {
		err = s.startDatapath(ctx, c, o.Strict, rep)
	}
	if err == nil && len(rep.Undelivered) > 0 {
		err = s.team.Note(ctx, rep.Undelivered...)
	}
	if err != nil {
		return nil, s.revert(c.Team, err)
	}
	return s, nil
}

// openHost opens the host and has it be such that a team can begin: with a journal that has lost records a team cannot go on, but
// the NICs can be given back; and NICs that were away when a team ended get their own before they are looked at.
func (s *session) openHost(o Options, rep *launch.Reporter) (err error) {
	at := host.Options{StateDir: o.StateDir, Team: o.Config.Team, Members: o.Config.MemberNames(), Logger: o.Log, Taken: launch.TeamHolding}
	if s.host, err = host.Open(at); err != nil {
		return err
	}
	if s.host.Damaged() {
		back, err := s.host.Restore()
		rep.Warn(back.Notes...)
		if err != nil {
			_ = s.host.Close()
			return err
		}
	}
	if note := s.host.Note(); note != "" {
		rep.Warn(note)
	}
	back, err := s.host.GiveAway()
	rep.Warn(back.Notes...)
	if err != nil {
		_ = s.host.Close()
	}
	return err
}

// claimNICs looks whether the NICs can be had and has the journal say whose they are. Who makes the team now has been told of
// what is others'; at a later start there is nobody to ask.
func (s *session) claimNICs(c settings.Config, again, insist bool, rep *launch.Reporter) error {
	if !again {
		consent := host.Accept
		if insist {
			consent = host.Known
		}
		others, err := launch.Owners(s.dirs, c.Team)
		if err != nil {
			return err
		}
		warnings, problem := s.host.Check(c, others, consent)
		for _, w := range warnings {
			rep.Warn(w)
		}
		if problem != nil {
			return problem
		}
	}
	if err := s.lockNICs("create "+c.Team, c.MemberNames()); err != nil {
		return err
	}
	if err := s.host.Begin(); err != nil {
		return err
	}
	return s.recordNICs(c.MemberNames())
}

// lockNICs makes NICs those of this team. Those that do not become members are unlocked by updateFollower.
func (s *session) lockNICs(what string, names []string) error {
	for _, name := range names {
		n, err := s.host.NIC(name)
		if err != nil {
			continue // the check says so
		}
		h, err := s.nics.Lock(n.Index)
		if h != nil {
			err = h.Problem(what, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) recordNICs(names []string) error {
	for _, name := range names {
		if _, err := s.host.Record(name); err != nil {
			return err
		}
	}
	return nil
}

// takeOver does what start says; what it leaves behind on an error is for revert.
func (s *session) takeOver(ctx context.Context, c settings.Config, again, insist bool, rep *launch.Reporter) error {
	names := c.MemberNames()
	infos := make([]host.NIC, len(names))
	for i, name := range names {
		var err error
		if infos[i], err = s.host.NIC(name); err != nil {
			return err
		}
	}
	lender := s.macDonor(c, infos)
	mac, mtu := adapterMAC(c, lender), s.adapterMTU(c, infos, again)
	made, err := s.openAdapter(c, mac, mtu, again)
	if err != nil {
		return err
	}
	if _, err := s.nics.Lock(s.adapter.Index()); err != nil {
		return err
	}
	rep.Step("adapter %s: MAC %v, MTU %d", c.Team, s.adapter.MAC(), mtu)
	if err := s.host.AdapterMade(s.adapter.Index()); err != nil {
		return err
	}
	if s.follower, err = s.host.Follow(s.adapter.Index()); err != nil {
		return err
	}
	if made {
		notes, err := s.host.CarryPolicy(s.adapter.Index(), lender.Name, names)
		if err != nil {
			return err
		}
		for _, note := range notes {
			rep.Warn(note)
		}
	}
	if err := s.host.Up(s.adapter.Index()); err != nil {
		return err
	}
	if err := s.startTeam(c, again); err != nil {
		return err
	}
	if err := s.warnMissing(ctx); err != nil {
		return err
	}
	if c.Address == settings.AddressAuto {
		if err := s.host.RebindConnections(names); err != nil {
			return err
		}
	}
	for i, name := range names {
		if err := s.joinNIC(ctx, name, c.Members[i].Weight, infos[i]); err != nil {
			return err
		}
	}
	rep.Step("members %s: frames pass", strings.Join(names, ", "))
	if err := s.configureAddresses(c, names, rep); err != nil {
		return err
	}
	for _, name := range names {
		if err := s.host.Strip(name, host.Setup{MTU: mtu, GRO: c.GRO}); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if again && !made && c.Address == settings.AddressAuto {
		if err := s.host.ForgetTaken(s.adapter.Index()); err != nil {
			return err
		}
	}
	if err := s.beginFollowing(ctx, mtu); err != nil {
		return err
	}
	if err := s.team.Announce(ctx); err != nil {
		return err
	}
	if why := s.awaitForwarding(ctx); why != "" {
		if p := s.unreachable(infos); p != nil && insist && !again && ctx.Err() == nil {
			return p
		}
		rep.Mention(why)
	}
	s.leases.noClient = !s.host.Renews()
	s.team.Record("takeover", "", "members "+strings.Join(names, ", "))
	return ctx.Err()
}

// startTeam starts the data path and the control loop.
func (s *session) startTeam(c settings.Config, again bool) (err error) {
	c.Members = slices.Concat(c.Members, s.missing) // for their weights and priorities
	r, err := relay.New(relay.Options{Adapter: s.adapter, TSO: c.TSO, USO: c.USO, Logger: s.log, Panics: s.panics})
	if err != nil {
		return err
	}
	s.path = fastpath.New(fastpath.Options{Relay: r, Adapter: s.adapter, Hooks: hooks{s.host}, Logger: s.log, Panics: s.panics})
	var salt [8]byte
	_, _ = rand.Read(salt[:])
	s.team, err = team.New(team.Options{
		Config: c, MAC: s.adapter.MAC(), Salt: binary.NativeEndian.Uint64(salt[:]),
		Adapter: s.adapter, Datapath: s.path, Source: s.host,
		Memory: s.loadLACPState(c.Team, again), Remember: s.saveLACPState(c.Team),
		Announcer: addressSource{s.host, s.adapter.Index()}, AdapterInfo: newAdapterReader(s.readAdapter, s.panics).status,
		DatapathName: pathRelay, DatapathReason: reasonStarting, Log: s.log, Panics: s.panics,
	})
	if err != nil {
		return err
	}
	s.datapath = &datapathSelector{path: s.path, log: s.log.With("team", c.Team), hooksHeld: s.hooksHeld, setBacklog: s.setBacklog,
		report: func(name, reason string) { _ = s.team.OnDatapath(context.Background(), name, reason) },
		warn:   func(text string) { _ = s.team.Warn(context.Background(), "datapath", text) }}
	s.loadHistory(c.Team)
	ctx, cancel := context.WithCancel(context.Background())
	s.stopTeam, s.teamDone, s.failed = cancel, make(chan struct{}), make(chan error, 1)
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.team.Run(ctx); ctx.Err() == nil {
			s.failed <- errors.Join(errors.New("the control loop ended"), err)
		}
	})
	for where, follow := range map[string]func(context.Context){
		"host's events": s.follower.Run, "adapter's MAC": s.followAdapterMAC, "adapter's receive mode": s.followRxMode,
		"routers": func(ctx context.Context) { s.host.FollowRouters(ctx, s.adapter.Index()) },
	} {
		work.Go(func() { s.panics.Restart(ctx, where, func() { follow(ctx) }) })
	}
	go func() {
		work.Wait()
		close(s.teamDone)
	}()
	return nil
}

// startDatapath has the programs move the frames where they are wished and can. Frames pass before that.
func (s *session) startDatapath(ctx context.Context, c settings.Config, insist bool, rep *launch.Reporter) error {
	if err := s.datapath.start(c.Datapath, insist); err != nil {
		return launch.FastpathProblem("start "+c.Team, err)
	}
	// That takes most of the time of a start, and who ends it meanwhile must not get a team that ends and leaves its adapter.
	if err := ctx.Err(); err != nil {
		return err
	}
	st := s.team.Status()
	rep.Step("data path %s: %s", st.Datapath, st.DatapathReason)
	return nil
}

// hooksHeld says whether others hold a hook that the programs need.
func (s *session) hooksHeld() error {
	return s.host.Unheld(s.presentMembers())
}

// setBacklog has the kernel's queues of received frames be as long as the programs need them, or as they were.
func (s *session) setBacklog(fast bool) error {
	if fast {
		return s.host.RaiseBacklog()
	}
	return s.host.LowerBacklog()
}

// joinNIC has the data path take a NIC's frames, then hides them from the host's own stack: in this order none is lost.
func (s *session) joinNIC(ctx context.Context, name string, weight float64, n host.NIC) error {
	l := team.Link{Name: name, Index: n.Index, MAC: n.MAC}
	if _, err := s.team.Join(ctx, l, weight, team.MemberInfo{Driver: n.Driver, MTU: n.MTU, OwnMAC: n.WiFi, VLANFilter: s.host.FiltersVLANs(name)}); err != nil {
		return err
	}
	return s.host.Isolate(n.Index)
}

// configureAddresses gives the adapter what the configuration wants it to have.
func (s *session) configureAddresses(c settings.Config, names []string, rep *launch.Reporter) error {
	index := s.adapter.Index()
	switch c.Address {
	case settings.AddressAuto:
		if err := s.host.Adopt(index, names); err != nil {
			return err
		}
		rep.Step("addresses and routes: from the members to %s", c.Team)
	case settings.AddressGiven:
		if err := s.host.Give(index, c.Addresses, c.Gateway); err != nil {
			return err
		}
		rep.Step("addresses: %s", c.AddressList())
	}
	return nil
}
