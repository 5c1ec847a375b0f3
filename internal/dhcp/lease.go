// SPDX-License-Identifier: MIT

package dhcp

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Lease is what a server granted. Times are of the Machine's clock.
type Lease struct {
	Address  netip.Prefix `json:"address"`
	Server   netip.Addr   `json:"server,omitzero"` // its identifier; zero: not known
	ClientID []byte       `json:"client_id,omitempty"`
	Routes   []Route      `json:"routes,omitempty"`
	DNS      []netip.Addr `json:"dns,omitempty"`
	Search   []string     `json:"search,omitempty"` // domains

	Obtained time.Time `json:"obtained"` // or renewed
	Renew    time.Time `json:"renew"`    // T1
	Rebind   time.Time `json:"rebind"`   // T2
	Expires  time.Time `json:"expires"`  // zero: never
}

// Route is a route of a Lease.
type Route struct {
	To  netip.Prefix `json:"to"`
	Via netip.Addr   `json:"via,omitzero"` // zero: on the link
}

// TakenOver is a lease of which another client has told no more than address and lifetime: all servers are asked at
// once. left of the total lifetime remains.
func TakenOver(now time.Time, address netip.Prefix, left, total time.Duration) Lease {
	return Lease{Address: address, Obtained: now.Add(left - total), Renew: now, Rebind: now, Expires: now.Add(left)}
}

// Valid reports whether a Machine can have the lease: IPv4, and its times in order.
func (l *Lease) Valid() bool {
	if !l.Address.IsValid() || !l.Address.Addr().Is4() || l.Server.IsValid() && !l.Server.Is4() ||
		l.Rebind.Before(l.Renew) || l.Expires.Before(l.Rebind) {
		return false
	}
	return !slices.ContainsFunc(l.Routes, func(r Route) bool {
		return !r.To.IsValid() || !r.To.Addr().Is4() || r.Via.IsValid() && !r.Via.Is4()
	})
}

// forever is the lease time that never ends (RFC 2131, section 3.3).
const forever = math.MaxUint32 * time.Second

// Bounds of what an ACK may have. Servers send a few entries; more would only load the host.
const (
	maxRoutes  = 128
	maxDNS     = 8
	maxDomains = 32
)

var errNotALease = errors.New("not a lease")

// leaseOf reads an ACK that arrived at that time for a request sent at another: the lease counts from the request
// (RFC 2131, section 4.4.1).
func leaseOf(m *dhcpv4.DHCPv4, sent time.Time) (Lease, error) {
	ip, ok := unicast(m.YourIPAddr)
	if !ok {
		return Lease{}, fmt.Errorf("%w: address %v", errNotALease, m.YourIPAddr)
	}
	length := m.IPAddressLeaseTime(0)
	if length <= 0 {
		return Lease{}, fmt.Errorf("%w: no lease time", errNotALease)
	}
	l := Lease{Address: netip.PrefixFrom(ip, prefixLength(m.SubnetMask(), ip)), Obtained: sent}
	l.Server, _ = unicast(m.ServerIdentifier())
	l.Routes = routesOf(m)
	for _, a := range m.DNS() {
		if ip, ok := unicast(a); ok && len(l.DNS) < maxDNS && !slices.Contains(l.DNS, ip) {
			l.DNS = append(l.DNS, ip)
		}
	}
	l.Search = domainsOf(m)
	if length >= forever {
		return l, nil
	}
	t1, t2 := m.IPAddressRenewalTime(length/2), m.IPAddressRebindingTime(length/8*7)
	if t1 <= 0 || t1 >= t2 || t2 >= length {
		t1, t2 = length/2, length/8*7
	}
	l.Renew, l.Rebind, l.Expires = sent.Add(t1), sent.Add(t2), sent.Add(length)
	return l, nil
}

// unicast returns an IPv4 address that a host can have.
func unicast(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	a = a.Unmap()
	if !ok || !a.Is4() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.As4()[0] >= 240 {
		return netip.Addr{}, false
	}
	return a, true
}

// prefixLength is that of the mask, or of the address's class if there is no usable mask.
func prefixLength(m net.IPMask, ip netip.Addr) int {
	if ones, bits := m.Size(); bits == 32 && ones > 0 {
		return ones
	}
	switch b := ip.As4()[0]; {
	case b < 128:
		return 8
	case b < 192:
		return 16
	}
	return 24
}

// routesOf returns the routes of option 121, which replaces that of routers (RFC 3442), or the default route by the
// first router.
func routesOf(m *dhcpv4.DHCPv4) (routes []Route) {
	for _, r := range m.ClasslessStaticRoute() {
		if r == nil || r.Dest == nil || len(routes) == maxRoutes {
			continue
		}
		to, ok := netip.AddrFromSlice(r.Dest.IP)
		ones, bits := r.Dest.Mask.Size()
		if to = to.Unmap(); !ok || !to.Is4() || bits != 32 || to.IsMulticast() || to.IsLoopback() {
			continue
		}
		route := Route{To: netip.PrefixFrom(to, ones).Masked()}
		if via, ok := unicast(r.Router); ok {
			route.Via = via
		} else if !r.Router.Equal(net.IPv4zero) {
			continue
		}
		routes = append(routes, route)
	}
	if len(routes) > 0 {
		return routes
	}
	for _, a := range m.Router() {
		if via, ok := unicast(a); ok {
			return []Route{{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: via}}
		}
	}
	return nil
}

// domainsOf returns the search list, or the domain, without what is no name.
func domainsOf(m *dhcpv4.DHCPv4) (names []string) {
	if s := m.DomainSearch(); s != nil {
		names = append(names, s.Labels...)
	}
	if len(names) == 0 {
		names = strings.Fields(strings.TrimRight(m.DomainName(), "\x00"))
	}
	names = slices.DeleteFunc(names, func(s string) bool { return !isDomain(s) })
	return names[:min(len(names), maxDomains)]
}

// isDomain reports whether s is a domain name. It comes from the network and goes into files of the host.
func isDomain(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return true
}
