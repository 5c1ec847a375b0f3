// SPDX-License-Identifier: MIT

package managers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Options of a team.
type Options struct {
	Team     string
	StateDir string
	Log      *slog.Logger

	Bus  string // tests: socket of the system bus
	Root string // tests: of the files of managers
}

// NIC is a link by name and ifindex.
type NIC struct {
	Name  string
	Index int
}

// Links are a team's: its adapter and the members that are present. The first member lent the adapter its
// configuration.
type Links struct {
	Adapter NIC
	Members []NIC
	Own     bool // the adapter's addresses are the team's: managers leave it alone

	// Origin returns the member that lent an address to the adapter, "" for none. nil: unknown.
	Origin func(netip.Addr) string
}

// Team tells the managers of a host about one team. Its methods may be called by any goroutine.
type Team struct {
	o Options

	changed chan struct{} // see Changed

	mu       sync.Mutex
	reloaded time.Time     // when systemd-networkd was last told to read its files
	ended    bool          // GiveBack was called
	applied  *resolverLink // what the members had when it was copied to the adapter
}

// New makes a Team. It changes nothing.
func New(o Options) *Team {
	if o.Bus == "" {
		o.Bus = systemBus
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Team{o: o, changed: make(chan struct{}, 1)}
}

// Changed tells Run that the links have changed.
func (t *Team) Changed() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *Team) networkd() networkd { return networkd{t.o.Root, t.o.Team} }

// Serving returns the manager that serves the adapter, and the NIC in whose place; "" for none.
func (t *Team) Serving() (manager, nic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch r := t.load(); {
	case t.ended:
		return "", ""
	case r.Networkd.NIC != "":
		return "systemd-networkd", r.Networkd.NIC
	case r.NM.NIC != "":
		return "NetworkManager", r.NM.NIC
	}
	return "", ""
}

// TakeOver makes the managers serve the adapter in place of the members. Steps say what was done, warnings what was
// not.
func (t *Team) TakeOver(ctx context.Context, l Links) (steps, warnings []string) {
	b, err := dial(ctx, t.o.Bus)
	if err != nil && !errors.Is(err, errNoBus) {
		warnings = append(warnings, err.Error())
	}
	if b != nil {
		defer b.close()
	}
	more, failed := t.sync(ctx, b, l)
	for _, err := range failed {
		warnings = append(warnings, err.Error())
	}
	return more, warnings
}

// sync makes the managers serve the adapter, as far as they do not yet. b is nil on a host without a bus.
func (t *Team) sync(ctx context.Context, b *bus, l Links) (steps []string, failed []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || l.Adapter.Index == 0 {
		return nil, nil
	}
	if b != nil {
		step, err := t.copyDNS(ctx, b, l)
		if err != nil {
			failed = append(failed, fmt.Errorf("names may not resolve: systemd-resolved does not ask through %s: %w",
				l.Adapter.Name, err))
		}
		if step != "" {
			steps = append(steps, step)
		}
	}
	if on := b.whose(ctx, networkdName); on != nil || t.load().Networkd.NIC != "" {
		more, err := t.serveNetworkd(ctx, on, l)
		if err != nil {
			failed = append(failed, fmt.Errorf("systemd-networkd does not know that %s is in place of its NICs, "+
				"and may configure them: %w", l.Adapter.Name, err))
		}
		steps = append(steps, more...)
	}
	if on := b.whose(ctx, nmName); on != nil {
		more, err := t.serveNM(ctx, on, l)
		if err != nil {
			failed = append(failed, fmt.Errorf("NetworkManager does not know that %s is in place of its NICs, "+
				"and may configure them: %w", l.Adapter.Name, err))
		}
		steps = append(steps, more...)
	}
	return steps, failed
}

// GiveBack makes the managers serve the NICs again, after the team has given them back. It may be called again, by any
// process.
func (t *Team) GiveBack(ctx context.Context) (steps []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	b, err := dial(ctx, t.o.Bus)
	if err != nil && !errors.Is(err, errNoBus) {
		t.o.Log.Warn("managers not reached", "team", t.o.Team, "err", err)
	}
	if b != nil {
		defer b.close()
	}
	steps, err = t.releaseNetworkd(ctx, b.whose(ctx, networkdName))
	more, failed := t.releaseNM(ctx, b.whose(ctx, nmName))
	return append(steps, more...), errors.Join(err, failed)
}

// followEvery is how often the DNS servers of the members are read without a signal: systemd-resolved sends none when
// another manager changes them.
const followEvery = 20 * time.Second

// Run keeps what TakeOver did: after a manager has restarted, or has changed the members, until ctx ends. links returns
// the present ones.
func (t *Team) Run(ctx context.Context, links func() Links) {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, followEvery) { // at a boot the bus comes late
		if b, err := dial(ctx, t.o.Bus); err == nil {
			t.follow(ctx, b, links)
			b.close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// follow runs until the connection or ctx ends.
func (t *Team) follow(ctx context.Context, b *bus, links func() Links) {
	signals := make(chan *dbus.Signal, 16)
	b.conn.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"),
			dbus.WithMatchArg(0, resolvedName)},
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"),
			dbus.WithMatchArg(0, networkdName)},
		{dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"),
			dbus.WithMatchArg(0, nmName)},
		{dbus.WithMatchSender(nmName), dbus.WithMatchInterface(nmDevice), dbus.WithMatchMember("StateChanged")},
		{dbus.WithMatchSender(networkdName), dbus.WithMatchInterface("org.freedesktop.DBus.Properties"),
			dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchPathNamespace(networkdPath + "/link")},
		{dbus.WithMatchSender(resolvedName), dbus.WithMatchInterface("org.freedesktop.DBus.Properties"),
			dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchObjectPath(resolvedPath)},
	} {
		if err := b.conn.AddMatchSignalContext(ctx, match...); err != nil {
			t.o.Log.Warn("managers not followed", "team", t.o.Team, "err", err)
			return
		}
	}
	last, wait := "", time.Second // at a boot managers come late
	for {
		steps, failed := t.sync(ctx, b, links())
		for _, step := range steps {
			t.o.Log.Info("managers", "team", t.o.Team, "what", step)
		}
		if err := errors.Join(failed...); err != nil && err.Error() != last {
			t.o.Log.Warn("managers", "team", t.o.Team, "err", err)
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return
		case <-b.conn.Context().Done():
			return
		case <-t.changed:
		case <-signals:
			drain(ctx, signals)
		case <-time.After(wait):
			wait = min(2*wait, followEvery)
		}
	}
}

// settle is how long a manager is left alone after a signal: it sends one for each of its changes.
const settle = 200 * time.Millisecond

func drain(ctx context.Context, signals <-chan *dbus.Signal) {
	for end := time.After(settle); ; {
		select {
		case <-signals:
		case <-end:
			return
		case <-ctx.Done():
			return
		}
	}
}

// copyDNS makes systemd-resolved ask through the adapter as it did through the members. What a person or a manager has
// set for the adapter since stays.
func (t *Team) copyDNS(ctx context.Context, b *bus, l Links) (step string, err error) {
	if !b.serves(ctx, resolvedName) {
		return "", nil
	}
	var source *resolverLink
	var from []string
	for _, m := range l.Members {
		r, err := b.resolverLink(ctx, m.Index)
		if err != nil || !r.asks() {
			continue
		}
		from = append(from, m.Name)
		if source == nil {
			source = r
			continue
		}
		source.merge(r)
	}
	if source == nil {
		return "", nil // nothing to copy; what the adapter has stays
	}
	have, err := b.resolverLink(ctx, l.Adapter.Index)
	if err != nil {
		return "", err
	}
	if len(have.Servers) > 0 && (t.applied == nil || !have.equal(t.applied) || source.equal(t.applied)) {
		return "", nil
	}
	err = b.setResolverLink(ctx, l.Adapter.Index, source, have)
	if isDBusError(err, "org.freedesktop.resolve1.LinkBusy") {
		return "", nil // systemd-networkd serves the adapter and names its servers
	}
	if err != nil {
		return "", err
	}
	t.applied = source
	return fmt.Sprintf("names: systemd-resolved asks %s through %s, as it did through %s",
		cmp.Or(source.addresses(), "no server"), l.Adapter.Name, strings.Join(from, ", ")), nil
}
