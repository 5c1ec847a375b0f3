// SPDX-License-Identifier: MIT

package daemon

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nicteam/internal/dhcp"
)

func someLeases(t testing.TB, change func(*savedLease)) []byte {
	t.Helper()
	at := time.Unix(1_700_000_000, 0).UTC()
	l := savedLease{MAC: 0x0200_0000_0001, Main: true, Lease: dhcp.Lease{Address: netip.MustParsePrefix("10.0.0.9/24"),
		Server: netip.MustParseAddr("10.0.0.1"), ClientID: []byte{1, 2, 0, 0, 0, 0, 1},
		Routes:   []dhcp.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.0.1")}},
		Obtained: at, Renew: at.Add(time.Minute), Rebind: at.Add(2 * time.Minute), Expires: at.Add(3 * time.Minute)}}
	change(&l)
	b, err := json.Marshal(leaseStateDocument{leaseStateSchema, []savedLease{l}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLeaseStateRefused(t *testing.T) {
	good := someLeases(t, func(*savedLease) {})
	if l, err := parseLeaseState(good); err != nil || len(l) != 1 || !l[0].Main {
		t.Fatalf("%+v, %v", l, err)
	}
	_, one, _ := strings.Cut(string(good), "[")
	one = strings.TrimSuffix(one, "]}")
	for name, b := range map[string][]byte{
		"empty":   nil,
		"cut off": good[:len(good)-4],
		"version": []byte(strings.Replace(string(good), leaseStateSchema, "nicteam.leases/v9", 1)),
		"many": []byte(`{"schema":"` + leaseStateSchema + `","leases":[` + strings.Repeat(one+",", maxLeaseClients) +
			one + `]}`),
		"MAC":     someLeases(t, func(l *savedLease) { l.MAC = 0x0100_0000_0000 }),
		"address": someLeases(t, func(l *savedLease) { l.Address = netip.MustParsePrefix("fd00::1/64") }),
		"server":  someLeases(t, func(l *savedLease) { l.Server = netip.MustParseAddr("fd00::1") }),
		"times":   someLeases(t, func(l *savedLease) { l.Rebind = l.Expires.Add(1) }),
		"route":   someLeases(t, func(l *savedLease) { l.Routes[0].To = netip.MustParsePrefix("::/0") }),
		"gateway": someLeases(t, func(l *savedLease) { l.Routes[0].Via = netip.MustParseAddr("fd00::1") }),
	} {
		if l, err := parseLeaseState(b); err == nil {
			t.Errorf("%s: not refused: %+v", name, l)
		}
	}
}

// FuzzLeaseState: a client can be made for every lease that is read.
func FuzzLeaseState(f *testing.F) {
	f.Add(someLeases(f, func(*savedLease) {}))
	f.Add(someLeases(f, func(l *savedLease) { l.Renew, l.Rebind, l.Expires = time.Time{}, time.Time{}, time.Time{} }))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseLeaseState(b)
		if err != nil {
			return
		}
		if len(list) > maxLeaseClients {
			t.Fatalf("%d leases", len(list))
		}
		for _, l := range list {
			now := l.Obtained
			m := dhcp.NewMachine(now, dhcp.Config{MAC: l.MAC, ClientIDs: [][]byte{l.ClientID}, Lease: l.Lease})
			for range 10 {
				if d := m.Deadline(); d.After(now) {
					now = d
				}
				if out := m.Handle(now, dhcp.Input{}); out.Send != nil {
					out.Send.ToBytes()
				}
			}
		}
	})
}
