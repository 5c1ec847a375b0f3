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
	"time"

	"nicteam/internal/fastpath"
	"nicteam/internal/frame"
	"nicteam/internal/host"
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

	host    *host.Host
	nics    *launch.NICLocks
	adapter *tap.Adapter
	path    *fastpath.Path
	choice  *choice
	team    *team.Team

	follower *host.Follower

	stopTeam context.CancelFunc
	teamDone chan struct{} // closed when the control loop and what feeds it have ended
	broken   chan error    // the control loop ended though nobody had asked it to

	blind     blindFilters
	changing  sync.Mutex               // one change of members or settings at a time
	awaited   []settings.MemberConfig  // configured, and not there
	strangers map[string]host.Identity // NICs with the names of members that are away
	mtu       int                      // the adapter's, which the members have, too …
	told      int                      // … as the control loop was told
	name      string                   // the adapter's
	up        bool                     // the adapter is, as the control loop was told
	moves     moves                    // of what came to members late
	heldText  string
	seen      map[string]bool // what was told of things on members that are left there
	leases    leases
	behind    map[host.Behind]bool // addresses of links on the adapter
	over      chan struct{}
	end       sync.Once

	keeping sync.Mutex // the files of the past, and gone
	gone    bool       // the team is no more: nothing is kept
}

// start takes the NICs over and returns when the team forwards, or when it would if a cable were in. On an error the host is as it was.
//
// The order keeps the host reachable: the adapter and the sockets work before any address moves; a member's own
// reception ends only after its frames come by the adapter; addresses are in two places for a moment, never in none.
func start(ctx context.Context, o RunOptions, rep *launch.Reporter) (s *session, err error) {
	c := o.Config
	s = &session{dirs: o.Dirs, log: o.Log, panics: panics.New(o.Log.With("team", c.Team)), over: make(chan struct{}), nics: launch.NewNICLocks(c.Team, o.RunDir)}
	if err := s.openHost(o, rep); err != nil {
		return nil, err
	}
	c.Members, s.awaited = s.present(c.Members)
	again := s.host.Journalled()
	err = o.Exclusive(func() error { return s.claim(c, again, o.Insist, rep) })
	if err == nil {
		err = s.build(ctx, c, again, o.Insist, rep)
	}
	if err == nil {
		err = s.choose(ctx, c, o.Insist, rep)
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
func (s *session) openHost(o RunOptions, rep *launch.Reporter) (err error) {
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

// claim looks whether the NICs can be had and has the journal say whose they are. Who makes the team now has been told of
// what is others'; at a later start there is nobody to ask.
func (s *session) claim(c settings.Config, again, insist bool, rep *launch.Reporter) error {
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
	return s.record(c.MemberNames())
}

// lockNICs makes NICs those of this team. Those that do not become members are unlocked by membersChanged.
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

func (s *session) record(names []string) error {
	for _, name := range names {
		if _, err := s.host.Record(name); err != nil {
			return err
		}
	}
	return nil
}

// build does what start says; what it leaves behind on an error is for revert.
func (s *session) build(ctx context.Context, c settings.Config, again, insist bool, rep *launch.Reporter) error {
	names := c.MemberNames()
	infos := make([]host.NIC, len(names))
	for i, name := range names {
		var err error
		if infos[i], err = s.host.NIC(name); err != nil {
			return err
		}
	}
	lender := s.lender(c, infos)
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
	if err := s.run(c, again); err != nil {
		return err
	}
	if err := s.warnAwaited(ctx); err != nil {
		return err
	}
	if c.Address == settings.AddressAuto {
		if err := s.host.RebindConnections(names); err != nil {
			return err
		}
	}
	for i, name := range names {
		if err := s.join(ctx, name, c.Members[i].Weight, infos[i]); err != nil {
			return err
		}
	}
	rep.Step("members %s: frames pass", strings.Join(names, ", "))
	if err := s.addresses(c, names, rep); err != nil {
		return err
	}
	for _, name := range names {
		if err := s.host.Strip(name, host.Setup{MTU: mtu, GRO: c.GRO}); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
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
		if p := s.stranded(infos); p != nil && insist && !again && ctx.Err() == nil {
			return p
		}
		rep.Mention(why)
	}
	s.leases.noClient = !s.host.Renews()
	s.team.Record("takeover", "", "members "+strings.Join(names, ", "))
	return ctx.Err()
}

// lender is the member whose MAC the adapter gets by --mac keep, and whose settings it gets: the one with the default
// route, or the first.
func (s *session) lender(c settings.Config, members []host.NIC) host.NIC {
	owner := s.host.DefaultOwner(c.MemberNames())
	if i := slices.IndexFunc(members, func(m host.NIC) bool { return m.Name == owner }); i >= 0 {
		return members[i]
	}
	return members[0]
}

// adapterMAC chooses the adapter's address.
func adapterMAC(c settings.Config, lender host.NIC) frame.MAC {
	switch c.MACPolicy {
	case settings.MACGiven:
		return c.MAC
	case settings.MACNew:
		var b [6]byte
		_, _ = rand.Read(b[:]) // never fails
		b[0] = b[0]&^1 | 2     // unicast, locally administered
		return frame.MACAt(b[:], 0)
	}
	return lender.MAC
}

// adapterMTU is what adapter and members are to have. The adapter of a process before this keeps its own, which somebody
// may have changed by hand, but not one that no member followed while nobody looked.
func (s *session) adapterMTU(c settings.Config, members []host.NIC, again bool) int {
	if again {
		if a, err := s.host.NIC(c.Team); err == nil {
			followed := c.MTU
			for _, m := range members {
				followed = max(followed, m.MTU)
			}
			return min(a.MTU, followed)
		}
	}
	if c.MTU != 0 {
		return c.MTU
	}
	return host.AutoMTU(members)
}

// openAdapter makes the adapter, or takes up the one that a process before this left: then its MAC
// stays, whatever was chosen now. made is false for one that was there.
func (s *session) openAdapter(c settings.Config, mac frame.MAC, mtu int, again bool) (made bool, err error) {
	s.name, s.up = c.Team, true
	if again {
		if name := s.host.AdapterName(); name != "" {
			s.name = name // which somebody may have given it
		}
		s.adapter, err = tap.Open(tap.Options{Name: s.name, MTU: mtu})
		if err == nil || !errors.Is(err, tap.ErrNotFound) {
			return false, err
		}
	}
	s.name = c.Team
	s.adapter, err = tap.Create(tap.Options{Name: c.Team, MTU: mtu, MAC: mac})
	return err == nil, err
}

// run starts the data path and the control loop.
func (s *session) run(c settings.Config, again bool) (err error) {
	c.Members = slices.Concat(c.Members, s.awaited) // for their weights and priorities
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
		Memory: s.remembered(c.Team, again), Remember: s.remember(c.Team),
		Announcer: announcer{s.host, s.adapter.Index()}, AdapterInfo: newAdapterReader(s.readAdapter, s.panics).status,
		DatapathName: pathRelay, DatapathReason: whyStarts, Log: s.log, Panics: s.panics,
	})
	if err != nil {
		return err
	}
	s.choice = &choice{path: s.path, log: s.log.With("team", c.Team), held: s.held, room: s.room,
		tell: func(name, reason string) { _ = s.team.OnDatapath(context.Background(), name, reason) },
		warn: func(text string) { _ = s.team.Warn(context.Background(), "datapath", text) }}
	s.recall(c.Team)
	ctx, cancel := context.WithCancel(context.Background())
	s.stopTeam, s.teamDone, s.broken = cancel, make(chan struct{}), make(chan error, 1)
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.team.Run(ctx); ctx.Err() == nil {
			s.broken <- errors.Join(errors.New("the control loop ended"), err)
		}
	})
	for where, follow := range map[string]func(context.Context){
		"host's events": s.follower.Run, "adapter's MAC": s.followMAC, "adapter's receive mode": s.followRxMode,
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

// choose has the programs move the frames where they are wished and can. Frames pass before that.
func (s *session) choose(ctx context.Context, c settings.Config, insist bool, rep *launch.Reporter) error {
	if err := s.choice.begin(c.Datapath, insist); err != nil {
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

// held says whether others hold a hook that the programs need.
func (s *session) held() error {
	return s.host.Unheld(s.presentMembers())
}

// room has the kernel's queues of received frames be as long as the programs need them, or as they were.
func (s *session) room(fast bool) error {
	if fast {
		return s.host.RaiseBacklog()
	}
	return s.host.LowerBacklog()
}

// join has the data path take a NIC's frames, then hides them from the host's own stack: in this order none is lost.
func (s *session) join(ctx context.Context, name string, weight float64, n host.NIC) error {
	l := team.Link{Name: name, Index: n.Index, MAC: n.MAC}
	if _, err := s.team.Join(ctx, l, weight, team.MemberInfo{Driver: n.Driver, MTU: n.MTU, OwnMAC: n.WiFi, VLANFilter: s.host.FiltersVLANs(name)}); err != nil {
		return err
	}
	return s.host.Isolate(n.Index)
}

// addresses gives the adapter what the configuration wants it to have.
func (s *session) addresses(c settings.Config, names []string, rep *launch.Reporter) error {
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

const (
	// forwardsIn is how long a team with a link needs at most until it forwards …
	forwardsIn = time.Second
	// … and agreesIn where it must first agree with a partner, or give up to find one.
	agreesIn = 8 * time.Second
	// togetherIn is how long after the first port of an aggregator the others may send.
	togetherIn = 300 * time.Millisecond
)

// awaitForwarding waits until a member may send, while there is hope. It returns why none may, "" when one does.
func (s *session) awaitForwarding(ctx context.Context) (why string) {
	begun, first := time.Now(), time.Time{}
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		st := s.team.Status()
		if st.State != "down" && st.Adapter.Carrier {
			if first.IsZero() {
				first = time.Now()
			}
			if st.State == "up" || st.LACP == nil || st.LACP.Aggregator == 0 || time.Since(first) > togetherIn {
				return ""
			}
		}
		linked := slices.ContainsFunc(st.Members, func(m team.MemberStatus) bool { return m.Link })
		switch waited := time.Since(begun); {
		case !linked && waited > forwardsIn:
			return "no member has a link yet: the team forwards as soon as one has"
		case linked && waited > forwardsIn && (st.LACP == nil || waited > agreesIn):
			return "the team does not forward yet: " + st.Reason
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return "the team does not forward yet: " + st.Reason
		}
	}
}
