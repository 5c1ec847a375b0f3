// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"nicteam/internal/fastpath"
	"nicteam/internal/host"
	"nicteam/internal/host/journal"
	"nicteam/internal/launch"
	"nicteam/internal/managers"
	"nicteam/internal/panics"
	"nicteam/internal/pending"
	"nicteam/internal/settings"
	"nicteam/internal/supervisor"
	"nicteam/internal/tap"
	"nicteam/team"
)

// session is a running team: everything that its process holds.
type session struct {
	dirs   launch.Dirs
	log    *slog.Logger
	panics *panics.Keeper
	life   *lifetime

	supervisor *supervisor.Supervisor // never nil in a running team
	watchdog   *watchdog              // nil during the start

	host     *host.Host
	nics     *launch.NICLocks
	adapter  *tap.Adapter
	path     *fastpath.Path
	datapath *datapathSelector
	team     *team.Team

	follower *host.Follower
	managers *managers.Team

	adapterReader *adapterReader

	stopTeam context.CancelFunc
	teamDone chan struct{} // closed when the control loop and the goroutines that feed it have ended
	failed   chan error    // the control loop ended by itself, or the adapter is gone

	filters      filterWarnings
	watchTargets *watchTargets

	changeMu   sync.Mutex                  // held while members or settings change; guards what follows
	missing    []settings.MemberConfig     // configured members that are absent since the start
	identified map[string]journal.Identity // by name of an absent member: the NIC that awaitIdentity saw
	moves      moveLimiter                 // of addresses that came to members
	dampedText string                      // the warning about them
	ignored    map[string]bool             // addresses on members that were reported as ignored
	leases     leases
	dhcp       *dhcpClients
	uppers     map[host.UpperAddress]bool // addresses of interfaces on top of the adapter
	held       *team.AddressesHeld        // all addresses behind the adapter, as last reported; nil: never

	// The adapter. The control loop knows reportedMTU; the members have mtu, too.
	adapterName      string
	adapterUp        bool
	mtu, reportedMTU int

	pending        atomic.Pointer[pending.Record] // the change that waits for confirmation; written under changeMu
	pendingChanged chan struct{}                  // it has one
	unmade         *pending.Record                // of the change that is being made
	was            snapshot                       // the team before the change that waits

	deleted     chan struct{}               // closed by Delete, and by Stop when the host is given back
	checkNext   func(context.Context) error // Options.CheckNext
	handedOver  chan struct{}               // closed by Stop when the next process goes on
	left        bool                        // adapter, programs and sockets stay for the next process
	endOnce     sync.Once                   // for both
	revertedWhy string                      // why the create was reverted; "" if it was not
	comesBack   bool                        // the delete waits for confirmation: the next process waits for that

	historyMu      sync.Mutex // guards the history files and historyDropped
	historyDropped bool       // the team was deleted: write no more
}

// lockNICs locks NICs for this team. updateFollower unlocks those that do not become members.
func (s *session) lockNICs(what string, names []string) error {
	for _, name := range names {
		n, err := s.host.NIC(name)
		if err != nil {
			continue // the check has reported it
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

// recordNICs writes to the journal what NICs have.
func (s *session) recordNICs(names []string) error {
	_, err := s.host.RecordMembers(names)
	return err
}

// hooksHeld returns an error if other programs hold a hook that the fast path needs.
func (s *session) hooksHeld() error {
	return s.host.HooksFree(s.presentMembers())
}

// setBacklog sets net.core.netdev_max_backlog to what the fast path needs, or back.
func (s *session) setBacklog(fast bool) error {
	if fast {
		return s.host.RaiseBacklog()
	}
	return s.host.LowerBacklog()
}

// joinNIC makes the data path receive from a NIC, then hides it from the host's stack. In this order no frame is lost.
func (s *session) joinNIC(ctx context.Context, name string, weight float64, n host.NIC) error {
	l := team.Link{Name: name, Index: n.Index, MAC: n.MAC}
	if _, err := s.team.Join(ctx, l, weight, s.memberInfo(name, n)); err != nil {
		return err
	}
	return s.host.Isolate(n.Index)
}

func (s *session) memberInfo(name string, n host.NIC) team.MemberInfo {
	return team.MemberInfo{Driver: n.Driver, MTU: n.MTU, OwnMAC: n.WiFi, VLANFilter: s.host.FiltersVLANs(name)}
}

// presentMembers returns the members whose NIC is present.
func (s *session) presentMembers() (names []string) {
	for _, m := range s.team.Members() {
		if m.State != "absent" {
			names = append(names, m.Name)
		}
	}
	return names
}

// isMACDonor reports whether the adapter has the member's MAC. Such a NIC must not be up on the LAN outside of the
// team.
func (s *session) isMACDonor(member string) bool {
	st := s.team.Status()
	for _, m := range st.Members {
		if m.Name == member {
			return m.MAC == st.Adapter.MAC
		}
	}
	return false
}
