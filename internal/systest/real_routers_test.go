// SPDX-License-Identifier: MIT

package systest

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// advertiser is a router on peer that advertises itself and a prefix again and again.
type advertiser struct {
	mu sync.Mutex
	a  frame.RouterAdvert
}

func (w *world) startRouter(lifetime uint16, valid uint32) *advertiser {
	w.t.Helper()
	s := w.raw(w.peer, "eth0")
	mac := frame.MACAt(s.MAC, 0)
	r := &advertiser{a: frame.RouterAdvert{From: netip.MustParseAddr("fe80::2:2"), MAC: mac, HopLimit: 64}}
	labtest.Must(w.t, w.peer.SetAddr("eth0", "fe80::2:2/64"))
	r.say(lifetime, valid)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			r.mu.Lock()
			b := r.a.Frame()
			r.mu.Unlock()
			s.send(b)
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	w.t.Cleanup(func() { close(stop); <-done })
	return r
}

// say changes the lifetimes of router and prefix.
func (r *advertiser) say(lifetime uint16, valid uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.a.Lifetime = lifetime
	r.a.Prefixes = []frame.AdvertisedPrefix{{Prefix: netip.MustParsePrefix("fd0a::/64"), OnLink: true,
		Autonomous: true, Valid: valid, Preferred: valid}}
}

// startDHCPCD starts dhcpcd on the NICs of box, for IPv6 only. Its files are visible to it alone.
func (w *world) startDHCPCD() {
	w.t.Helper()
	labtest.Tool(w.t, "dhcpcd", "dhcpcd-base")
	conf := filepath.Join(w.t.TempDir(), "dhcpcd.conf")
	labtest.Must(w.t, os.WriteFile(conf, []byte("duid\npersistent\nslaac private\nipv6only\nnodhcp6\n"+
		"allowinterfaces eth1 eth2\nscript /bin/true\n"), 0o600))
	cmd := w.box.Command("unshare", "--mount", "sh", "-c", "mkdir -p /run/dhcpcd && "+
		"mount -t tmpfs none /run/dhcpcd && mount -t tmpfs none /var/lib/dhcpcd && "+
		"exec dhcpcd --nobackground --nodev --config "+conf)
	labtest.Must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill() // and the host's end its children
		_ = cmd.Wait()
	})
}

// TestRoutersBehindDHCPCD has dhcpcd, which handles router advertisements itself, form addresses on two NICs that
// become a team. It does not hear the router any more. What it made lives on, ends when the router says so, and is
// dhcpcd's again in the end. dhcpcd has the kernel form no link-local address any more; the adapter has one.
func TestRoutersBehindDHCPCD(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NoAddress: true})
	for _, nic := range nics(2) { // the kernel's link-local addresses are there before dhcpcd is
		w.awaitShown("-6 addr show dev "+nic, "inet6 fe80:")
		labtest.Must(t, w.box.Sysctl("ipv6/conf/"+nic+"/accept_ra", "0"))
	}
	r := w.startRouter(120, 120)
	w.startDHCPCD()
	address := regexp.MustCompile(`inet6 (fd0a::[0-9a-f:]+)/64`)
	formed := map[string]string{}
	for _, nic := range nics(2) {
		w.awaitShown("-6 route show dev "+nic, "default via fe80::2:2 proto ra")
		formed[nic] = address.FindStringSubmatch(w.sh("ip -6 addr show dev " + nic))[1]
	}
	w.create(nics(2))
	r.say(5000, 9000) // heard once the team runs
	for _, nic := range nics(2) {
		labtest.Eventually(t, nic+"'s address is refreshed", func() bool {
			got := w.sh("ip -6 -o addr show dev " + teamName + " to " + formed[nic])
			return regexp.MustCompile(`valid_lft (9000|8\d\d\d)sec`).MatchString(got)
		})
	}
	if got := w.sh("ip -6 route show dev " + teamName); !strings.Contains(got, "default via fe80::2:2 proto ra") {
		t.Errorf("with the team:\n%s", got)
	}
	r.say(0, 9000)
	w.awaitGone("-6 route show dev "+teamName, "default")
	r.say(5000, 9000)
	w.awaitShown("-6 route show dev "+teamName, "default via fe80::2:2 proto ra")
	w.nicteam("delete", teamName)
	for _, nic := range nics(2) {
		w.awaitShown("-6 addr show dev "+nic, formed[nic])
		w.awaitShown("-6 route show dev "+nic, "default via fe80::2:2 proto ra metric 1")
	}
	if got := w.sh("ip -6 -o addr show scope global"); strings.Count(got, "fd0a:") != 2 {
		t.Errorf("after delete:\n%s", got)
	}
	w.checkNoFiles("after delete")
}
