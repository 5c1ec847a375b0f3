// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/monitor"
)

// targetsText writes targets as "gateways | hosts", VLANs behind a dot.
func targetsText(t monitor.Targets) string {
	var b strings.Builder
	write := func(list []monitor.Target) {
		for _, x := range list {
			fmt.Fprintf(&b, "%v", x.IP)
			if x.VLAN != 0 {
				fmt.Fprintf(&b, "@%d", x.VLAN)
			}
			b.WriteByte(' ')
		}
	}
	write(t.Gateways)
	b.WriteString("| ")
	write(t.Hosts)
	return strings.TrimSpace(b.String())
}

// TestWatchTargets: gateways of all default routes of a link and of VLANs on it, the preferred one first, and hosts
// that were heard from.
func TestWatchTargets(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	na := index(t, "na")
	targets := func(hosts bool, was ...monitor.Target) string {
		t.Helper()
		return targetsText(must1(h.WatchTargets(TargetOptions{Was: monitor.Targets{Hosts: was}, Hosts: hosts}, na)))
	}
	check := func(what, got, want string) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	check("without routes", targets(true), "|")
	vlan, tag := uint16(7), "@7"
	if exec.Command("ip", "link", "add", "link", "na", "name", "nav", "type", "vlan", "id", "7").Run() != nil {
		vlan, tag = 0, "" // this kernel has no VLANs
		run(t, "ip link add link na name nav type macvlan")
	}
	run(t, "ip link set nav up")
	run(t, `ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad
		ip route add default via 10.9.0.253 dev na table 77 metric 1
		ip route add default metric 300 nexthop via 10.9.0.251 dev na nexthop via 10.9.0.252 dev na
		ip route add default via inet6 fe80::8 dev na metric 400
		ip route add default via 10.9.0.254 dev na metric 100
		ip route add 10.20.0.0/16 via 10.9.0.9 dev na; ip route add unreachable default metric 7000
		ip -6 route add default via fe80::9 dev na proto ra metric 1024
		ip addr add 10.7.0.1/24 dev nc; ip route add default via 10.7.0.254 dev nc metric 1
		ip addr add 10.8.0.1/24 dev nav; ip route add default via 10.8.0.254 dev nav metric 500
		ip neigh add 10.9.0.8 lladdr 02:00:00:00:00:08 dev na nud stale
		ip neigh add 10.9.0.6 lladdr 02:00:00:00:00:06 dev na nud permanent
		ip neigh add 10.9.0.254 lladdr 02:00:00:00:00:fe dev na nud reachable
		ip neigh add 10.9.0.5 lladdr 02:00:00:00:00:05 dev na nud reachable
		ip neigh add fd09::7 lladdr 02:00:00:00:00:07 dev nav nud reachable`)
	gateways := "10.9.0.254 10.9.0.251 10.9.0.252 fe80::8 fe80::9 10.9.0.253 10.8.0.254" + tag + " |"
	check("gateways", targets(false), gateways)
	five, seven := monitor.Target{IP: netip.MustParseAddr("10.9.0.5")},
		monitor.Target{IP: netip.MustParseAddr("fd09::7"), VLAN: vlan}
	check("hosts", targets(true, five), gateways+" 10.9.0.5 fd09::7"+tag)
	run(t, "ip neigh change 10.9.0.5 lladdr 02:00:00:00:00:05 dev na nud stale")
	check("a host that is not reachable any more", targets(true, five), gateways+" 10.9.0.5 fd09::7"+tag)
	asked := TargetOptions{Asked: []netip.Addr{netip.MustParseAddr("10.8.0.9"), netip.MustParseAddr("10.9.0.9")}}
	if want := "| 10.8.0.9@7"; vlan != 0 && !strings.HasSuffix(targetsText(must1(h.WatchTargets(asked, na))), want) {
		t.Errorf("asked in a VLAN: no %q", want)
	}
	check("hosts that were targets come first", targets(true, seven), gateways+" fd09::7"+tag+" 10.9.0.5")
	run(t, "ip addr add 10.9.0.5/32 dev na")
	check("a host whose address has come here", targets(true, five), gateways+" fd09::7"+tag)
	run(t, "ip addr del 10.9.0.5/32 dev na")
	run(t, `for i in $(seq 20 39); do ip neigh add 10.9.0.$i lladdr 02:00:00:00:01:$i dev na nud reachable; done`)
	was := TargetOptions{Was: monitor.Targets{Hosts: []monitor.Target{seven}}, Hosts: true}
	many := must1(h.WatchTargets(was, na)).Hosts
	if len(many) != maxHosts || many[0] != seven {
		t.Errorf("of many hosts %v", many)
	}
	if got := targetsText(must1(h.WatchTargets(TargetOptions{}, na, index(t, "nc")))); got !=
		strings.Replace(gateways, "|", "10.7.0.254 |", 1) {
		t.Errorf("of two links: %s", got)
	}
}

// TestWatchTargetsOfABridge: of hosts and gateways that a bridge reaches, guests at another port are none.
func TestWatchTargetsOfABridge(t *testing.T) {
	labtest.Tool(t, "bridge", "iproute2")
	w := newWorld(t)
	h := w.open(nil)
	t.Cleanup(func() { exec.Command("ip", "link", "del", "brx").Run() })
	run(t, `ip link add brx type bridge; ip link set brx up; ip link set na master brx; ip link set nb master brx
		ip addr add 10.6.0.1/24 dev brx; ip route add default via 10.6.0.254 dev brx
		ip route add default via 10.6.0.253 dev brx metric 9
		for i in 7:na 8:nb 253:nb 254:na; do
			mac=$(printf 02:00:00:00:00:%02x ${i%:*})
			bridge fdb add $mac dev ${i#*:} master dynamic
			ip neigh add 10.6.0.${i%:*} lladdr $mac dev brx nud reachable
		done`)
	got := targetsText(must1(h.WatchTargets(TargetOptions{Hosts: true}, index(t, "na"))))
	if got != "10.6.0.254 | 10.6.0.7" {
		t.Errorf("targets %q", got)
	}
}

// TestFollowerTellsOfUpperRoutes: a default route by the bridge that the adapter is a port of.
func TestFollowerTellsOfUpperRoutes(t *testing.T) {
	w := newWorld(t)
	f, _ := w.follow(w.open(nil))
	t.Cleanup(func() { exec.Command("ip", "link", "del", "brx").Run() })
	run(t, `ip link add brx type bridge; ip link set team0 master brx; ip link set brx up
		ip addr add 10.6.0.1/24 dev brx`)
	n := f.Subscribe(UpperRoutes)
	if have, _, err := f.UpperAddresses(); err != nil || len(have) == 0 {
		t.Fatalf("%v, %v", have, err)
	}
	run(t, "ip route add default via 10.6.0.254 dev brx")
	tells(t, n, UpperRoutes)
}

// TestRetransmits sends a segment to a host that drops it.
func TestRetransmits(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	before := h.Retransmits()
	run(t, `ip addr add 10.9.0.1/24 dev na; ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev na nud permanent`)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 9, 0, 2}})
	if !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	labtest.Eventually(t, "a retransmission", func() bool { return h.Retransmits() > before })
	must(t, h.Close())
}

func FuzzRetransSegs(f *testing.F) {
	f.Add([]byte("Ip: a\nIp: 1\nTcp: A RetransSegs C\nTcp: -1 42 3\n"))
	f.Add([]byte("Tcp: RetransSegs\nTcp:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := retransSegs(b); err != nil && v != 0 {
			t.Errorf("%d, %v", v, err)
		}
	})
}

func TestRetransSegs(t *testing.T) {
	got, err := retransSegs([]byte("Ip: a\nIp: 1\nTcp: RtoAlgorithm RetransSegs InErrs\nTcp: -1 42 3\nUdp: x\n"))
	if got != 42 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "Tcp: RetransSegs\n", "Tcp: A\nTcp: 1\n", "Tcp: A RetransSegs\nTcp: 1\n"} {
		if v, err := retransSegs([]byte(bad)); err == nil {
			t.Errorf("%q: %d", bad, v)
		}
	}
}
