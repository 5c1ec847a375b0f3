// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// socket opens a socket until the end of the test.
func socket(t *testing.T, family, kind, protocol int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// swapped is a protocol in network byte order.
func swapped(n uint16) int { return int(n>>8 | n<<8) }

// TestBoundPrograms names each kind of socket with its program.
func TestBoundPrograms(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; echo 0 0 >/proc/sys/net/ipv4/ping_group_range")
	h := w.open(nil)
	me := fmt.Sprintf("(pid %d): ", os.Getpid())
	bound := func(family, kind, protocol int) func(t *testing.T, nic string) {
		return func(t *testing.T, nic string) {
			fd := socket(t, family, kind, protocol)
			must(t, unix.BindToDevice(fd, nic))
			var to unix.Sockaddr = &unix.SockaddrInet4{Port: 5005}
			if family == unix.AF_INET6 {
				to = &unix.SockaddrInet6{Port: 5005}
			}
			if kind != unix.SOCK_RAW {
				must(t, unix.Bind(fd, to))
			}
			if kind == unix.SOCK_STREAM {
				must(t, unix.Listen(fd, 1))
			}
		}
	}
	sends := func(family, level, option int) func(t *testing.T, nic string) {
		return func(t *testing.T, nic string) {
			index, err := interfaceIndex(nic)
			must(t, err)
			fd := socket(t, family, unix.SOCK_DGRAM, 0)
			must(t, unix.SetsockoptInt(fd, level, option, int(swapped32(uint32(index)))))
			if family == unix.AF_INET { // one that has a port is listed
				must(t, unix.Bind(fd, &unix.SockaddrInet4{Port: 5005}))
			} else {
				must(t, unix.Bind(fd, &unix.SockaddrInet6{Port: 5005}))
			}
		}
	}
	packet := func(ethertype uint16) func(t *testing.T, nic string) {
		return func(t *testing.T, nic string) {
			index, err := interfaceIndex(nic)
			must(t, err)
			fd := socket(t, unix.AF_PACKET, unix.SOCK_RAW, 0)
			must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(swapped(ethertype)), Ifindex: index}))
		}
	}
	for _, test := range []struct {
		name string
		open func(t *testing.T, nic string)
		says string
	}{
		{"TCP", bound(unix.AF_INET, unix.SOCK_STREAM, 0), me + "tcp port 5005"},
		{"TCP by IPv6", bound(unix.AF_INET6, unix.SOCK_STREAM, 0), me + "tcp port 5005"},
		{"UDP", bound(unix.AF_INET, unix.SOCK_DGRAM, 0), me + "udp port 5005"},
		{"UDP by IPv6", bound(unix.AF_INET6, unix.SOCK_DGRAM, 0), me + "udp port 5005"},
		{"raw", bound(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), me + "raw"},
		{"raw by IPv6", bound(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6), me + "raw"},
		{"ping", bound(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP), me + "icmp"},
		{"sends by it", sends(unix.AF_INET, unix.IPPROTO_IP, unix.IP_UNICAST_IF), me + "udp that sends by it"},
		{"sends by it by IPv6", sends(unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_IF), me +
			"udp that sends by it"},
		{"all frames", packet(unix.ETH_P_ALL), me + "packet for all frames"},
		{"an ethertype", packet(unix.ETH_P_IP), me + "packet ethertype 0x0800"},
		{"IPv6", packet(unix.ETH_P_IPV6), me + "packet ethertype 0x86dd"},
		{"the NIC's own", packet(unix.ETH_P_LLDP), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Run("another NIC", func(t *testing.T) {
				test.open(t, "nc")
				if warnings, p := h.Check(configOf("na", "nb"), nil, ConsentAsk); p != nil || len(warnings) > 0 {
					t.Errorf("%v %q", p, warnings)
				}
			})
			test.open(t, "na")
			warnings, p := h.Check(configOf("na", "nb"), nil, ConsentAsk)
			if test.says == "" {
				if p != nil || len(warnings) > 0 {
					t.Errorf("%v %q", p, warnings)
				}
				return
			}
			if p != nil || len(warnings) != 1 || !strings.Contains(warnings[0], test.says) ||
				!strings.Contains(warnings[0], " na") {
				t.Errorf("%v %q, want %q", p, warnings, test.says)
			}
			if f, p := h.CheckImpact(configOf(), "team0", []string{"na"}, ConsentAsk); p != nil ||
				len(f.Warnings) != 1 || len(f.Blocked) != 0 {
				t.Errorf("to join: %v %+v", p, f)
			}
		})
	}
	for name, ethertype := range map[string]uint16{"discovery": unix.ETH_P_PPP_DISC, "session": unix.ETH_P_PPP_SES} {
		t.Run("PPPoE "+name, func(t *testing.T) {
			packet(ethertype)(t, "na")
			if _, p := h.Check(configOf("na", "nb"), nil, ConsentGiven); p == nil || p.Kind != api.Conflict ||
				!strings.Contains(p.Why, "runs PPPoE") || !strings.Contains(p.Fix, "--force") {
				t.Errorf("%+v", p)
			}
			f, p := h.Inspect(configOf("na", "nb"), nil, ConsentForced)
			if p != nil || len(f.Blocked) != 1 || !f.Blocked[0].Accepted || f.Blocked[0].NIC != "na" ||
				!strings.Contains(strings.Join(f.Warnings, ""), "PPPoE on na is cut") {
				t.Errorf("forced: %+v %+v", p, f)
			}
		})
	}

}

// TestJoinedGroups names groups of programs, and none of the kernel's.
func TestJoinedGroups(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; echo 1 "+
			">/proc/sys/net/ipv6/conf/na/forwarding; ip neigh add proxy fd09::77 dev na")
	settled(t)
	h := w.open(nil)
	if warnings, p := h.Check(configOf("na", "nb"), nil, ConsentAsk); p != nil || len(warnings) > 0 {
		t.Fatalf("the kernel's own: %v %q", p, warnings)
	}
	na, err := interfaceIndex("na")
	must(t, err)
	fd := socket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	must(t, unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
		&unix.IPMreqn{Multiaddr: [4]byte{224, 0, 0, 251}, Ifindex: int32(na)}))
	six := socket(t, unix.AF_INET6, unix.SOCK_DGRAM, 0)
	for _, g := range []string{"ff02::1:2", "ff02::1:ff12:3456"} {
		must(t, unix.SetsockoptIPv6Mreq(six, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
			&unix.IPv6Mreq{Multiaddr: netip.MustParseAddr(g).As16(), Interface: uint32(na)}))
	}
	warnings, p := h.Check(configOf("na", "nb"), nil, ConsentAsk)
	if p != nil || len(warnings) != 1 {
		t.Fatalf("%v %q", p, warnings)
	}
	for _, want := range []string{"na", "224.0.0.251 (mDNS)", "ff02::1:2 (DHCPv6)", "ff02::1:ff12:3456"} {
		if !strings.Contains(warnings[0], want) {
			t.Errorf("%q has no %q", warnings[0], want)
		}
	}
}

func TestMPTCPEndpoints(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip addr add 10.7.0.1/24 dev nc; ip -6 addr add fd09::1/64 dev na nodad")
	if out, err := exec.Command("ip", "mptcp", "endpoint", "add", "10.9.0.1", "dev", "na",
		"subflow").CombinedOutput(); err != nil {
		t.Skipf("no MPTCP: %s", out)
	}
	t.Cleanup(func() { exec.Command("ip", "mptcp", "endpoint", "flush").Run() })
	run(t, "ip mptcp endpoint add fd09::1 dev na signal; ip mptcp endpoint add 10.7.0.1 dev nc subflow")
	warnings, p := w.open(nil).Check(configOf("na", "nb"), nil, ConsentAsk)
	if p != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "MPTCP") ||
		!strings.Contains(warnings[0], "10.9.0.1 and fd09::1;") || strings.Contains(warnings[0], "10.7.0.1") {
		t.Errorf("%v %q", p, warnings)
	}
}

func TestPoliciesOfIPsec(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	policy := func(more string) string {
		return "ip xfrm policy add dir out src 10.9.0.0/24 dst 10.8.0.0/24 " + more +
			" tmpl src 10.9.0.1 dst 10.9.0.2 proto esp mode tunnel"
	}
	if out, err := exec.Command("sh", "-ec", policy("")).CombinedOutput(); err != nil {
		t.Skipf("this kernel does not do it: %s", out)
	}
	t.Cleanup(func() { run(t, "ip xfrm policy flush") })
	h := w.open(nil)
	saysOfNA(t, h, "")
	run(t, policy("dev nc"))
	saysOfNA(t, h, "")
	run(t, policy("dev na"))
	saysOfNA(t, h, "IPsec policies apply to na, but not to team0: dir out, from 10.9.0.0/24 to 10.8.0.0/24")
}

// TestUppersOfOtherNamespaces: upper links in other namespaces are found, however they came there.
func TestUppersOfOtherNamespaces(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	for _, kind := range []string{"macvlan mode bridge", "macvtap mode bridge", "ipvlan mode l2", "ipvtap mode l2",
		"vlan id 7", "macsec",
		"vxlan id 7 dstport 4789 group 239.1.1.1 dev na", "gre local 10.9.0.1 remote 10.9.0.2 dev na",
		"ipip local 10.9.0.1 remote 10.9.0.2 dev na"} {
		for way, script := range map[string]string{
			"moved":      "ip link add link na name up9 type %s; ip link set up9 netns elsewhere",
			"made there": "ip link add link na netns elsewhere name up9 type %s",
		} {
			if strings.HasSuffix(kind, "dev na") {
				if way == "made there" {
					continue // its NIC would have to be there, too
				}
				script = "ip link add name up9 type %s; ip link set up9 netns elsewhere"
			}
			t.Run(kind+" "+way, func(t *testing.T) {
				run(t, "ip netns add elsewhere")
				defer func() {
					run(t, "ip netns del elsewhere")
					// The kernel removes a namespace later.
					labtest.Eventually(t, "nothing is on na", func() bool {
						return exec.Command("ip", "link", "add", "link", "na", "name", "up8", "type", "macvlan", "mode",
							"passthru").Run() == nil
					})
					run(t, "ip link del up8")
				}()
				if out, err := exec.Command("sh", "-ec", fmt.Sprintf(script, kind)).CombinedOutput(); err != nil {
					t.Skipf("this kernel does not do it: %s", out)
				}
				_, p := h.Check(configOf("nb", "na"), nil, ConsentGiven)
				if p == nil || p.Kind != api.Conflict || !strings.Contains(p.What, "NIC na") ||
					!strings.Contains(p.Why, "up9 (in namespace elsewhere)") {
					t.Errorf("create: %+v", p)
				}
				if _, p := h.CheckImpact(configOf(), "team0", []string{"na"}, ConsentGiven); p == nil ||
					p.Kind != api.Conflict {
					t.Errorf("to join: %+v", p)
				}
				if f, p := h.CheckImpact(configOf(), "team0", []string{"na"}, ConsentForced); p != nil ||
					!strings.Contains(strings.Join(f.Warnings, ""), "receives nothing") {
					t.Errorf("to join, forced: %+v %+v", p, f)
				}
				if what, err := h.Dependents("na"); err != nil || len(what) != 1 ||
					!strings.Contains(what[0], "up9 (in namespace elsewhere)") {
					t.Errorf("na carries %q, %v", what, err)
				}
				if _, p := h.Check(configOf("nb"), nil, ConsentGiven); p != nil {
					t.Errorf("another NIC: %+v", p)
				}
			})
		}
	}
	t.Run("a namespace without a name", func(t *testing.T) {
		cmd := exec.Command("unshare", "-n", "sleep", "60")
		must(t, cmd.Start())
		defer func() {
			cmd.Process.Kill()
			cmd.Wait()
		}()
		pid := cmd.Process.Pid
		labtest.Eventually(t, "its namespace", func() bool {
			a, _ := os.Readlink("/proc/thread-self/ns/net") // the main thread may be in another namespace
			b, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
			return b != "" && a != b
		})
		if out, err := exec.Command("sh", "-ec",
			fmt.Sprintf("ip link add link na netns %d name up9 type macvlan mode bridge",
				pid)).CombinedOutput(); err != nil {
			t.Skipf("this kernel does not do it: %s", out)
		}
		if _, p := h.Check(configOf("na"), nil, ConsentGiven); p == nil ||
			!strings.Contains(p.Why, fmt.Sprintf("up9 (in the namespace of sleep, pid %d)", pid)) {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzDiag(f *testing.F) {
	f.Add(make([]byte, 80))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseInetDiag(b)
		parsePacketDiag(b)
		parseMPTCP(b)
	})
}

func FuzzProcLists(f *testing.F) {
	f.Add("Id       Address              Device\n0100     02:00:00:00:00:01    na\n")
	f.Fuzz(func(t *testing.T, text string) {
		pppoeDevices(text)
		procInodes(text)
		hasProtocol(text, 6)
		parseVIFs(text)
	})
}

func TestProcLists(t *testing.T) {
	if got := pppoeDevices("Id       Address              Device\n0100     02:00:00:00:00:01     na\n"); len(
		got) != 1 || got[0] != "na" {
		t.Errorf("PPPoE on %q", got)
	}
	const vifs = "Interface      BytesIn  PktsIn  BytesOut PktsOut Flags Local    Remote\n 0 na             0       " +
		"0         0       0 00000 0109000A 00000000\n"
	if got := parseVIFs(vifs); len(got) != 1 || got[0] != "na" {
		t.Errorf("multicast routes by %q", got)
	}
}

// TestTheKernelChoosesSockets: the kernel lists only TCP sockets of the links, of which there may be very many.
func TestTheKernelChoosesSockets(t *testing.T) {
	newWorld(t)
	for _, nic := range []string{"", "na", "nb", "nc"} {
		fd := socket(t, unix.AF_INET, unix.SOCK_STREAM, 0)
		if nic != "" {
			must(t, unix.BindToDevice(fd, nic))
		}
		must(t, unix.Bind(fd, &unix.SockaddrInet4{}))
		must(t, unix.Listen(fd, 1))
	}
	index, err := interfaceIndex("na")
	must(t, err)
	other, err := interfaceIndex("nb")
	must(t, err)
	var many []int
	for i := range 64 {
		many = append(many, 10_000+i)
	}
	for _, links := range [][]int{{index}, {index, other}, {other, index}, append(slices.Clone(many), index),
		append([]int{index}, many...), many} {
		want := 0
		for _, l := range links {
			if l == index || l == other {
				want++
			}
		}
		list := inetDiag(unix.AF_INET, unix.IPPROTO_TCP, links)
		if len(list) != want {
			t.Fatalf("%d sockets, want %d, of links %v", len(list), want, links)
		}
		for _, b := range list {
			if s, ok := parseInetDiag(b); !ok || !slices.Contains(links, s.index) {
				t.Errorf("%+v of links %v", s, links)
			}
		}
	}
}
