// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// fakeResolved has links by ifindex; busy ones are served by systemd-networkd.
type fakeResolved struct {
	links map[int32]*resolverLink
	busy  map[int32]bool
	old   bool // before systemd 246
}

func (f *fakeResolved) call(path dbus.ObjectPath, member string, in []any) ([]any, *dbus.Error) {
	if member == "GetAll" {
		var index int32
		if _, err := fmt.Sscanf(string(path), "/link/%d", &index); err != nil {
			return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownObject"}
		}
		l := f.links[index]
		p := map[string]dbus.Variant{"Domains": dbus.MakeVariant(l.Domains),
			"DefaultRoute":               dbus.MakeVariant(l.DefaultRoute),
			"DNSSECNegativeTrustAnchors": dbus.MakeVariant(l.TrustAnchors)}
		if f.old {
			old := []oldServer{}
			for _, s := range l.Servers {
				old = append(old, oldServer{s.Family, s.Address})
			}
			p["DNS"] = dbus.MakeVariant(old)
		} else {
			p["DNSEx"] = dbus.MakeVariant(l.Servers)
		}
		for i, mode := range resolverModes {
			p[mode] = dbus.MakeVariant(l.modes[i])
		}
		return []any{p}, nil
	}
	index := in[0].(int32)
	l := f.links[index]
	if l == nil {
		return nil, &dbus.Error{Name: "org.freedesktop.resolve1.NoSuchLink"}
	}
	if member == "GetLink" {
		return []any{dbus.ObjectPath(fmt.Sprintf("/link/%d", index))}, nil
	}
	if f.busy[index] {
		return nil, &dbus.Error{Name: "org.freedesktop.resolve1.LinkBusy"}
	}
	var err error
	switch what := strings.TrimPrefix(member, "SetLink"); {
	case what == "DNSEx" && f.old:
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownMethod"}
	case what == "DNS":
		var old []oldServer
		err = dbus.Store(in[1:], &old)
		l.Servers = nil
		for _, s := range old {
			l.Servers = append(l.Servers, resolverServer{Family: s.Family, Address: s.Address})
		}
	case what == "DNSEx":
		l.Servers = nil
		err = dbus.Store(in[1:], &l.Servers)
	case what == "Domains":
		l.Domains = nil
		err = dbus.Store(in[1:], &l.Domains)
	case what == "DefaultRoute":
		l.DefaultRoute = in[1].(bool)
	}
	if err != nil {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.InvalidArgs"}
	}
	return nil, nil
}

var links = Links{Adapter: NIC{"team0", 9}, Members: []NIC{{"eth1", 2}, {"eth2", 3}}}

func leased(address string) *resolverLink {
	return &resolverLink{Servers: []resolverServer{serverOf(netip.MustParseAddr(address))}, DefaultRoute: true,
		Domains: []resolverDomain{{"lan", false}, {"corp.example", true}}, modes: [4]string{"yes", "yes", "no", "no"}}
}

func startResolved(t *testing.T) (*fakeBus, *fakeResolved, *Team) {
	t.Helper()
	b := newFakeBus(t)
	r := &fakeResolved{links: map[int32]*resolverLink{2: leased("10.9.0.254"), 3: {}, 9: {modes: [4]string{"yes"}}}}
	b.provide(resolvedName, r.call)
	return b, r, New(Options{Team: "team0", Bus: b.socket})
}

func TestNamesAreAskedThroughTheAdapter(t *testing.T) {
	b, r, team := startResolved(t)
	preview := "would tell systemd-resolved to ask 10.9.0.254 through team0"
	if diff := cmp.Diff([]string{preview}, previewSteps(t, team)); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}
	b.seen()
	steps, warnings := team.TakeOver(t.Context(), links)
	want := []string{"names: systemd-resolved asks 10.9.0.254 through team0, as it did through eth1"}
	if diff := cmp.Diff(want, steps); diff != "" || warnings != nil {
		t.Errorf("steps (-want +got):\n%s%v", diff, warnings)
	}
	wantCalls := []string{"SetLinkDNSEx [9 [[2 [10 9 0 254] 0 ]]]",
		"SetLinkDomains [9 [[lan false] [corp.example true]]]", "SetLinkDefaultRoute [9 true]",
		"SetLinkMulticastDNS [9 yes]", "SetLinkDNSOverTLS [9 no]", "SetLinkDNSSEC [9 no]"}
	got := b.seen()
	got = without(got, "GetAll")
	if diff := cmp.Diff(wantCalls, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if r.links[9].addresses() != "10.9.0.254" {
		t.Errorf("the adapter has %+v", r.links[9])
	}
}

func without(list []string, word string) (left []string) {
	for _, s := range list {
		if !strings.HasPrefix(s, word) {
			left = append(left, s)
		}
	}
	return left
}

func TestWhatNamesDoNotNeed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*fakeBus, *fakeResolved)
		links  Links
	}{
		{"no servers", func(_ *fakeBus, r *fakeResolved) { r.links[2] = &resolverLink{} }, links},
		{"the adapter has its own", func(_ *fakeBus, r *fakeResolved) { r.links[9] = leased("9.9.9.9") }, links},
		{"systemd-networkd serves the adapter", func(_ *fakeBus, r *fakeResolved) {
			r.busy = map[int32]bool{9: true}
		}, links},
		{"no systemd-resolved", func(b *fakeBus, _ *fakeResolved) { b.provide(resolvedName, nil) }, links},
		{"a NIC that it does not know", func(_ *fakeBus, r *fakeResolved) { delete(r.links, 2) }, links},
		{"no adapter", func(*fakeBus, *fakeResolved) {}, Links{Members: links.Members}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, r, team := startResolved(t)
			tt.change(b, r)
			if steps, warnings := team.TakeOver(t.Context(), tt.links); steps != nil || warnings != nil {
				t.Errorf("steps %q, warnings %q; want none", steps, warnings)
			}
		})
	}
	if steps, warnings := New(Options{Bus: t.TempDir() + "/none"}).TakeOver(t.Context(), links); steps != nil ||
		warnings != nil {
		t.Errorf("without a bus: steps %q, warnings %q", steps, warnings)
	}
}

func TestServersOfTwoNICs(t *testing.T) {
	b, r, team := startResolved(t)
	r.links[3] = leased("10.9.0.253")
	b.settle()
	if _, warnings := team.TakeOver(t.Context(), links); warnings != nil {
		t.Fatal(warnings)
	}
	b.settle()
	if got, want := r.links[9].addresses(), "10.9.0.254, 10.9.0.253"; got != want {
		t.Errorf("the adapter asks %s, want %s", got, want)
	}
	if len(r.links[9].Domains) != 2 {
		t.Errorf("domains %v, want each once", r.links[9].Domains)
	}
}

func TestOldResolved(t *testing.T) {
	b, r, team := startResolved(t)
	r.old = true
	b.settle()
	if _, warnings := team.TakeOver(t.Context(), links); warnings != nil {
		t.Fatal(warnings)
	}
	b.settle()
	if got := r.links[9].addresses(); got != "10.9.0.254" {
		t.Errorf("the adapter asks %q", got)
	}
}

func TestDNSFollows(t *testing.T) {
	b, r, team := startResolved(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		team.Run(ctx, func() Links { return links })
	}()
	defer func() { cancel(); <-done }()
	asks := func(want string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			b.mu.Lock()
			got := r.links[9].addresses()
			b.mu.Unlock()
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the adapter asks %q, want %q", got, want)
			}
		}
	}
	change := func(f func()) {
		b.mu.Lock()
		f()
		b.signal(resolvedPath, "org.freedesktop.DBus.Properties", "PropertiesChanged", resolvedManager,
			map[string]dbus.Variant{}, []string{"DNS"})
		b.mu.Unlock()
	}
	asks("10.9.0.254")
	change(func() { r.links[2] = leased("10.9.0.253") })
	asks("10.9.0.253")
	b.provide(resolvedName, nil)
	b.mu.Lock()
	r.links[9] = &resolverLink{} // a new process that has forgotten
	b.mu.Unlock()
	b.provide(resolvedName, r.call)
	asks("10.9.0.253")
	change(func() { r.links[9] = leased("9.9.9.9") })
	change(func() { r.links[2] = leased("10.9.0.252") })
	time.Sleep(2 * settle) // longer than a copy would take
	asks("9.9.9.9")        // a person's choice
}

func TestSetDNS(t *testing.T) {
	b, r, team := startResolved(t)
	err := team.SetDNS(t.Context(), 9, []netip.Addr{netip.MustParseAddr("fd00::53")}, []string{"lan", "~."})
	if err != nil {
		t.Fatal(err)
	}
	b.settle()
	if diff := cmp.Diff([]resolverDomain{{"lan", false}, {".", true}}, r.links[9].Domains); diff != "" ||
		r.links[9].addresses() != "fd00::53" {
		t.Errorf("the adapter has %+v\n%s", r.links[9], diff)
	}
	b.provide(resolvedName, nil)
	if err := team.SetDNS(t.Context(), 9, nil, nil); err != ErrNoResolver {
		t.Errorf("without systemd-resolved: %v", err)
	}
}
