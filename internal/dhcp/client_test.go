// SPDX-License-Identifier: MIT

package dhcp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const prefix = "10.9.0.50/24"

func leased(left time.Duration) Lease {
	now := time.Now()
	return Lease{Address: netip.MustParsePrefix(prefix), Server: serverIP, Obtained: now, Renew: now.Add(left / 2),
		Rebind: now.Add(left / 8 * 7), Expires: now.Add(left)}
}

func unknownLease(left time.Duration) Lease {
	l := leased(left)
	l.Server, l.Renew, l.Rebind = netip.Addr{}, l.Obtained, l.Obtained
	return l
}

// TestLife has a server that answers, falls silent, and answers again.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(100 * time.Second)
		h := runClient(t, f, Config{})
		time.Sleep(time.Second)
		h.want(t, prefix, "acquired")
		if got := f.heard(); !slices.Equal(got, []string{"DISCOVER", "REQUEST", "PROBE", "PROBE"}) {
			t.Fatalf("heard %q", got)
		}
		f.change(func() {
			if f.open {
				t.Error("the link stays open without a question")
			}
		})
		time.Sleep(200 * time.Second)
		h.want(t, prefix, "renewed")
		if got := f.heard()[4:]; len(got) != 4 || got[0] != "REQUEST renewing" || got[3] != "REQUEST renewing" {
			t.Fatalf("in 200 s of leases of 100 s heard %q", got)
		}
		f.change(func() { f.deaf = true })
		n := len(f.heard())
		time.Sleep(95 * time.Second)
		h.want(t, prefix, "by all servers")
		if got := f.heard()[n:]; got[len(got)-1] != "REQUEST rebinding" && !slices.Contains(got, "REQUEST rebinding") {
			t.Fatalf("heard %q", got)
		}
		f.change(func() { f.silent = true })
		time.Sleep(200 * time.Second)
		h.want(t, "", "expired")
		if len(h.lost) != 1 || !strings.Contains(h.lost[0], "expired") {
			t.Errorf("lost %q", h.lost)
		}
		f.change(func() { f.silent, f.deaf = false, false })
		time.Sleep(90 * time.Second)
		h.want(t, prefix, "acquired again")
	})
}

// TestRefused has a server that refuses the lease and grants another address.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(100 * time.Second)
		h := runClient(t, f, Config{Lease: leased(100 * time.Second)})
		f.change(func() { f.ip = netip.MustParseAddr("10.9.0.51") })
		time.Sleep(49 * time.Second)
		h.want(t, prefix, "before")
		time.Sleep(4 * time.Second)
		h.want(t, "10.9.0.51/24", "after")
		if len(h.lost) != 1 || !strings.Contains(h.lost[0], "refuses") {
			t.Errorf("lost %q", h.lost)
		}
	})
}

// TestOthersLease takes over leases of which the client's identifier is not known.
func TestOthersLease(t *testing.T) {
	for name, tt := range map[string]struct {
		id   string
		want string
	}{
		"mac": {string(MACClientID(testMAC)), prefix}, "none": {"", prefix}, "duid": {"\xff\x01\x02", prefix},
		"unknown": {"\xff\x09", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(100 * time.Second)
				f.clientID = tt.id
				h := runClient(t, f, Config{Lease: unknownLease(50 * time.Second),
					ClientIDs: [][]byte{{0xff, 1, 2}, MACClientID(testMAC), nil}})
				time.Sleep(45 * time.Second)
				h.want(t, prefix, "the address stays to its end")
				time.Sleep(time.Minute)
				h.want(t, tt.want, "later")
				if tt.want == "" && len(f.heard()) > 60 {
					t.Errorf("%d messages to a server that refuses", len(f.heard()))
				}
			})
		})
	}
}

// TestSilentToStrangers has a server that does not answer an identifier that it does not know.
func TestSilentToStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(100 * time.Second)
		f.change(func() { f.silent = true })
		m := NewMachine(time.Now(), Config{MAC: testMAC, Lease: unknownLease(50 * time.Second),
			ClientIDs: [][]byte{{0xff, 1, 2}, nil}})
		var ids []int
		for range 4 {
			out := m.Handle(m.Deadline(), Input{})
			if out.Send == nil || out.To.IsValid() || out.From != leaseIP {
				t.Fatalf("%+v", out)
			}
			ids = append(ids, len(out.Send.GetOneOption(dhcpv4.OptionClientIdentifier)))
		}
		if !slices.Equal(ids, []int{3, 0, 3, 0}) {
			t.Errorf("lengths of identifiers %v", ids)
		}
	})
}

// TestConflict has another host with the offered address.
func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(100 * time.Second)
		f.change(func() { f.taken = leaseIP })
		h := runClient(t, f, Config{})
		time.Sleep(5 * time.Second)
		h.want(t, "", "declined")
		if !slices.Contains(f.heard(), "DECLINE") {
			t.Errorf("heard %q", f.heard())
		}
		f.change(func() { f.taken, f.ip = netip.Addr{}, netip.MustParseAddr("10.9.0.51") })
		time.Sleep(conflictWait)
		h.want(t, "10.9.0.51/24", "another one")
	})
}

// TestReboot asks for the address of an earlier boot.
func TestReboot(t *testing.T) {
	for name, tt := range map[string]struct {
		remembered string
		silent     bool
		want       []string
	}{
		"granted": {"10.9.0.50", false, []string{"REQUEST rebooting", "PROBE", "PROBE"}},
		"refused": {"10.9.0.49", false, []string{"REQUEST rebooting", "DISCOVER", "REQUEST", "PROBE", "PROBE"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(100 * time.Second)
				h := runClient(t, f, Config{Want: netip.MustParseAddr(tt.remembered), Remembered: true})
				time.Sleep(5 * time.Second)
				h.want(t, prefix, name)
				if got := f.heard(); !slices.Equal(got, tt.want) {
					t.Errorf("heard %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestRestart continues a lease in another process: nothing is said before it is time to renew.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(100 * time.Second)
		h := runClient(t, f, Config{Lease: leased(100 * time.Second)})
		time.Sleep(49 * time.Second)
		if got := f.heard(); len(got) > 0 {
			t.Errorf("heard %q", got)
		}
		time.Sleep(60 * time.Second)
		h.want(t, prefix, "renewed")
	})
}

// TestOtherRenews has another client renew the lease: this one stays silent.
func TestOtherRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(100 * time.Second)
		h := runClient(t, f, Config{Lease: leased(100 * time.Second)})
		for range 5 {
			time.Sleep(49 * time.Second)
			h.Renewed(time.Now().Add(100 * time.Second))
		}
		synctest.Wait()
		if got := f.heard(); len(got) > 0 {
			t.Errorf("heard %q", got)
		}
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if got := f.heard(); len(got) != 1 {
			t.Errorf("after the other has ended heard %q", got)
		}
	})
}

// TestLinkUp retries as soon as servers may be reached again.
func TestLinkUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(time.Hour)
		h := runClient(t, f, Config{Lease: leased(time.Hour)})
		f.change(func() { f.silent = true })
		time.Sleep(58 * time.Minute)
		f.change(func() { f.silent = false })
		n := len(f.heard())
		h.LinkUp()
		time.Sleep(100 * time.Millisecond)
		if got := f.heard()[n:]; !slices.Equal(got, []string{"REQUEST rebinding"}) {
			t.Errorf("heard %q", got)
		}
		h.want(t, prefix, "renewed")
		n = len(f.heard())
		h.LinkUp()
		time.Sleep(100 * time.Millisecond)
		if got := f.heard()[n:]; !slices.Equal(got, []string{"REQUEST renewing"}) {
			t.Errorf("bound: heard %q", got)
		}
	})
}

// TestForever has a lease that never ends.
func TestForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(forever)
		h := runClient(t, f, Config{})
		time.Sleep(1000 * time.Hour)
		h.want(t, prefix, "for ever")
		if got := f.heard(); len(got) != 4 {
			t.Errorf("heard %q", got)
		}
	})
}
