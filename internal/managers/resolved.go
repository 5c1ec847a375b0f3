// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Names of org.freedesktop.resolve1(5).
const (
	resolvedName    = "org.freedesktop.resolve1"
	resolvedPath    = "/org/freedesktop/resolve1"
	resolvedManager = "org.freedesktop.resolve1.Manager"
	resolvedLink    = "org.freedesktop.resolve1.Link"
)

// resolverLink is what systemd-resolved knows of one link: whom to ask, for which names, and how.
type resolverLink struct {
	Servers      []resolverServer
	Domains      []resolverDomain
	DefaultRoute bool
	modes        [len(resolverModes)]string
	TrustAnchors []string // DNSSEC negative ones
}

type resolverServer struct {
	Family  int32
	Address []byte
	Port    uint16
	Name    string // for DNS over TLS
}

// oldServer is how systemd before 246 names a server.
type oldServer struct {
	Family  int32
	Address []byte
}

type resolverDomain struct {
	Name      string
	RouteOnly bool
}

// resolverModes are the properties that are words, each with SetLinkNAME.
var resolverModes = [...]string{"LLMNR", "MulticastDNS", "DNSOverTLS", "DNSSEC"}

// asks reports whether names are asked through the link.
func (l *resolverLink) asks() bool { return len(l.Servers) > 0 || len(l.Domains) > 0 }

// addresses are the servers for people.
func (l *resolverLink) addresses() string {
	var list []string
	for _, s := range l.Servers {
		if a, ok := netip.AddrFromSlice(s.Address); ok {
			list = append(list, a.String())
		}
	}
	return strings.Join(list, ", ")
}

// merge adds the servers and domains of another link.
func (l *resolverLink) merge(o *resolverLink) {
	for _, s := range o.Servers {
		if !slices.ContainsFunc(l.Servers, func(have resolverServer) bool {
			return have.Family == s.Family && slices.Equal(have.Address, s.Address) && have.Port == s.Port
		}) {
			l.Servers = append(l.Servers, s)
		}
	}
	for _, d := range o.Domains {
		if !slices.Contains(l.Domains, d) {
			l.Domains = append(l.Domains, d)
		}
	}
	l.DefaultRoute = l.DefaultRoute || o.DefaultRoute
}

// equal reports whether both name the same servers and domains.
func (l *resolverLink) equal(o *resolverLink) bool {
	return slices.Equal(l.Domains, o.Domains) &&
		slices.EqualFunc(l.Servers, o.Servers, func(a, b resolverServer) bool {
			return a.Family == b.Family && slices.Equal(a.Address, b.Address) && a.Port == b.Port && a.Name == b.Name
		})
}

// resolverLink reads what systemd-resolved knows of a link.
func (b *bus) resolverLink(ctx context.Context, index int) (*resolverLink, error) {
	var path dbus.ObjectPath
	err := b.call(ctx, resolvedName, resolvedPath, resolvedManager+".GetLink", []any{int32(index)}, &path)
	if err != nil {
		return nil, err
	}
	p, err := b.properties(ctx, resolvedName, path, resolvedLink)
	if err != nil {
		return nil, err
	}
	l := &resolverLink{}
	p.store("DNSEx", &l.Servers)
	p.store("Domains", &l.Domains)
	p.store("DefaultRoute", &l.DefaultRoute)
	p.store("DNSSECNegativeTrustAnchors", &l.TrustAnchors)
	for i, mode := range resolverModes {
		p.store(mode, &l.modes[i])
	}
	if _, known := p["DNSEx"]; !known { // before systemd 246
		var servers []oldServer
		p.store("DNS", &servers)
		for _, s := range servers {
			l.Servers = append(l.Servers, resolverServer{Family: s.Family, Address: s.Address})
		}
	}
	return l, nil
}

// setResolverLink makes systemd-resolved ask through a link as l says. Its own defaults for have stay unset.
func (b *bus) setResolverLink(ctx context.Context, index int, l, have *resolverLink) error {
	set := func(method string, in ...any) error {
		return b.call(ctx, resolvedName, resolvedPath, resolvedManager+"."+method, append([]any{int32(index)}, in...))
	}
	err := set("SetLinkDNSEx", l.Servers)
	if isDBusError(err, "org.freedesktop.DBus.Error.UnknownMethod") { // before systemd 246
		old := []oldServer{}
		for _, s := range l.Servers {
			old = append(old, oldServer{s.Family, s.Address})
		}
		err = set("SetLinkDNS", old)
	}
	if err != nil {
		return err
	}
	err = set("SetLinkDomains", l.Domains)
	if l.DefaultRoute {
		err = errors.Join(err, set("SetLinkDefaultRoute", true))
	}
	for i, mode := range resolverModes {
		if l.modes[i] != "" && l.modes[i] != have.modes[i] {
			err = errors.Join(err, set("SetLink"+mode, l.modes[i]))
		}
	}
	if !slices.Equal(l.TrustAnchors, have.TrustAnchors) {
		err = errors.Join(err, set("SetLinkDNSSECNegativeTrustAnchors", l.TrustAnchors))
	}
	return err
}

// isDBusError reports whether a call ended with that error.
func isDBusError(err error, name string) bool {
	e, ok := errors.AsType[dbus.Error](err)
	return ok && e.Name == name
}

// serverOf is a server by address, with the port of DNS.
func serverOf(a netip.Addr) resolverServer {
	s := resolverServer{Family: 10, Address: a.AsSlice()} // AF_INET6
	if a.Is4() {
		s.Family = 2 // AF_INET
	}
	return s
}

// domainOf parses a domain as people write it: ~NAME is only for routing.
func domainOf(text string) resolverDomain {
	name, only := strings.CutPrefix(text, "~")
	return resolverDomain{name, only}
}

// SetDNS makes systemd-resolved ask servers through a link, for domains first and for all other names. ErrNoResolver:
// it does not run here.
func (t *Team) SetDNS(ctx context.Context, index int, servers []netip.Addr, domains []string) error {
	b, err := dial(ctx, t.o.Bus)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoResolver, err)
	}
	defer b.close()
	if !b.serves(ctx, resolvedName) {
		return ErrNoResolver
	}
	have, err := b.resolverLink(ctx, index)
	if err != nil {
		return err
	}
	want := *have
	want.Servers, want.Domains, want.DefaultRoute = nil, nil, true
	for _, a := range servers {
		want.Servers = append(want.Servers, serverOf(a))
	}
	for _, d := range domains {
		want.Domains = append(want.Domains, domainOf(d))
	}
	return b.setResolverLink(ctx, index, &want, have)
}

// ErrNoResolver: systemd-resolved does not serve this network namespace.
var ErrNoResolver = errors.New("systemd-resolved does not run")
