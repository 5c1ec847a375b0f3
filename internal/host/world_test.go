// SPDX-License-Identifier: MIT

package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/tchook"
)

// A world is the private namespace of the test binary with two NICs (veth, whose peers are there too), a third NIC
// outside the team, and a TAP as adapter if asked for.
type world struct {
	t    *testing.T
	dir  string
	nics []string

	store descriptors.Store // of the hosts that open opens; nil: none
}

const teamName = "team0"

func run(t testing.TB, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", labtest.Script(script)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, script, out)
	}
	return string(out)
}

func newWorld(t *testing.T) *world {
	labtest.Root(t)
	labtest.Tool(t, "ip", "iproute2")
	w := &world{t: t, dir: t.TempDir(), nics: []string{"na", "nb"}}
	clean := func() {
		for _, l := range []string{"na", "nb", "nc", teamName} {
			if link, err := netlink.LinkByName(l); err == nil {
				_ = netlink.LinkDel(link)
			}
		}
		for family, pref := range map[int]int{netlink.FAMILY_V4: 100, netlink.FAMILY_V6: 101} {
			list, _ := netlink.RuleList(family)
			for _, r := range list {
				if r.Priority == pref {
					_ = netlink.RuleDel(&r)
				}
			}
		}
		exec.Command("nft", "flush", "ruleset").Run()
	}
	clean()
	t.Cleanup(clean)
	var script strings.Builder
	for _, l := range []string{"na", "nb", "nc"} {
		script.WriteString(fmt.Sprintf(`
			ip link add %[1]s type veth peer name p%[1]s
			echo 0 >/proc/sys/net/ipv6/conf/%[1]s/accept_dad
			echo 1 >/proc/sys/net/ipv6/conf/p%[1]s/disable_ipv6`, l))
	}
	run(t, script.String()+`
		ip link set pna up; ip link set pnb up; ip link set pnc up
		ip link set na up; ip link set nb up; ip link set nc up`)
	// The kernel makes them when it notices the carrier.
	labtest.Eventually(t, "link-local addresses", func() bool {
		for _, l := range []string{"na", "nb", "nc"} {
			index, err := interfaceIndex(l)
			must(t, err)
			list, err := netlink.AddrList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, netlink.FAMILY_V6)
			if err != nil || len(list) == 0 {
				return false
			}
		}
		return true
	})
	settled(t)
	return w
}

// settled waits for the end of duplicate address detection.
func settled(t *testing.T) {
	t.Helper()
	labtest.Eventually(t, "IPv6 addresses in use", func() bool {
		links, err := netlink.LinkList()
		routes, err2 := netlink.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: unix.RT_TABLE_LOCAL},
			netlink.RT_FILTER_TABLE)
		if errors.Join(err, err2) != nil {
			return false // something has changed meanwhile
		}
		local := map[string]bool{}
		for _, r := range routes {
			if r.Dst != nil {
				local[fmt.Sprint(r.Dst.IP, r.LinkIndex)] = true
			}
		}
		for _, l := range links {
			if l.Attrs().Flags&net.FlagUp == 0 || l.Attrs().Flags&net.FlagLoopback != 0 {
				continue
			}
			addresses, err := netlink.AddrList(l, netlink.FAMILY_V6)
			if err != nil {
				return false
			}
			for _, a := range addresses {
				if a.Flags&unix.IFA_F_TENTATIVE != 0 || !local[fmt.Sprint(a.IP, l.Attrs().Index)] {
					return false
				}
			}
		}
		return true
	})
}

// configure gives the NICs every kind of config.
func (w *world) configure() {
	run(w.t, `
		echo 1 >/proc/sys/net/ipv6/conf/na/accept_dad
		ip link set na mtu 1400
		ip addr add 10.9.0.1/24 dev na label na:web
		ip addr add 10.9.0.2/24 dev na
		ip addr add 10.9.1.1/24 dev na valid_lft 3600 preferred_lft 1800
		ip addr add 10.9.0.3/24 dev na
		ip addr add 10.9.2.1 peer 10.9.2.2/32 dev na
		ip addr add 10.9.3.1/24 dev na noprefixroute
		ip -6 addr add fd09::1/64 dev na nodad
		ip -6 addr add fd09::2/64 dev na nodad
		ip -6 addr add fd09:1::1/64 dev na nodad valid_lft 3600 preferred_lft 1800
		ip addr add 10.8.0.1/24 dev nb
		ip addr add 10.9.0.9/24 dev nb
		ip -6 addr add fd08::1/64 dev nb nodad
		ip addr add 10.7.0.1/24 dev nc
		ip route add default via 10.9.0.254 dev na proto dhcp metric 100 mtu 1300
		ip route add default via 10.7.0.254 dev nc metric 200
		ip route add 10.20.0.0/16 via 10.9.0.253 dev na src 10.9.0.2
		ip route add 10.21.0.0/16 via 192.0.2.1 dev na onlink table 77
		ip route add 10.22.0.0/16 nexthop via 10.9.0.253 dev na weight 2 nexthop via 10.8.0.253 dev nb weight 3
		ip route add 10.23.0.0/16 nexthop via 10.9.0.253 dev na nexthop via 10.7.0.253 dev nc
		ip route add 10.24.0.0/16 dev na scope link
		ip route append 10.24.0.0/16 dev nc scope link
		ip -6 route add default via fe80::1 dev na metric 1024
		ip -6 route add fd20::/32 via fd09::fe dev na src fd09::2
		ip -6 route add fd22::/32 nexthop via fd09::fd dev na nexthop via fd08::fd dev nb
		ip addr add 10.9.4.1/24 dev na metric 50
		ip -6 addr add fe80::1:1/64 dev na nodad
		ip rule add pref 100 iif na lookup 77
		ip rule add pref 100 iif na oif nb lookup 79
		ip rule add pref 100 not iif na lookup 80
		ip -6 rule add pref 101 oif nb lookup 78
		ip neigh add 10.9.0.254 lladdr 02:00:00:00:00:fe dev na nud stale
		ip neigh add proxy 10.9.0.50 dev na
		ip neigh add proxy fd09::50 dev nb
		ip neigh add 10.9.0.200 lladdr 02:00:00:00:00:c8 dev na nud permanent
		ip -6 neigh add fd09::c8 lladdr 02:00:00:00:00:c8 dev na nud permanent
		ip link set nb mtu 1450
		echo 1 >/proc/sys/net/ipv4/conf/na/arp_ignore
		echo 2 >/proc/sys/net/ipv6/conf/nb/accept_ra
		echo 2 >/proc/sys/net/ipv4/conf/na/rp_filter
		echo 0 >/proc/sys/net/ipv6/conf/nb/autoconf
		ethtool -K na gro on tso off >/dev/null`)
	newRouter(w.t, 1, "fd0a::/64").advertise("na")
	settled(w.t)
}

// tap makes the adapter as internal/tap does.
func (w *world) tap() int {
	w.t.Helper()
	run(w.t, "ip tuntap add dev "+teamName+" mode tap multi_queue user 0 group 0; ip link set "+teamName+" up")
	l, err := netlink.LinkByName(teamName)
	if err != nil {
		w.t.Fatal(err)
	}
	return l.Attrs().Index
}

func (w *world) open(at func(string) error) *Host {
	w.t.Helper()
	h, err := Open(Options{StateDir: w.dir, Team: teamName, faultPoint: at, Store: w.store})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	return h
}

// snapshot is everything that must be restored, as programs show it.
func snapshot(t testing.TB) map[string]string {
	t.Helper()
	s := map[string]string{}
	for name, script := range map[string]string{
		"route4":   "ip -j -d -4 route show; ip -j -d -4 route show table 77 2>/dev/null || true",
		"proxy":    "ip neigh show proxy",
		"gateway":  "ip -j -d neigh show 10.9.0.254 | grep -o '\"lladdr\":\"[^\"]*\"\\|\"dev\":\"[^\"]*\"' || true",
		"features": "ethtool -k na; ethtool -k nb; ethtool -k nc",
		"tc": "for n in na nb nc; do echo qdisc show dev $n; echo filter show dev $n ingress; " +
			"echo filter show dev $n egress; done | tc -batch -",
		"nft": "nft list ruleset 2>/dev/null || true",
	} {
		s[name] = neutral(run(t, script))
	}
	shownByIP(t, s, "", []string{"addr", "link", "local4", "rule4", "neigh"}, "addr show", "link show",
		"route show table local", "rule show", "neigh show nud permanent")
	shownByIP(t, s, "-6", []string{"route6", "rule6"}, "route show table all", "rule show")
	// Of the kernel's routes for several links in one subnet, those of the link come last that got its address last.
	s["route6"], s["local4"] = sorted(s["route6"]), sorted(s["local4"])
	for _, n := range []string{"na", "nb", "nc"} {
		s["tcx"] += fmt.Sprintln(n, tcxPrograms(t, n, ebpf.AttachTCXIngress), tcxPrograms(t, n, ebpf.AttachTCXEgress))
		s["sysctl"] += settingsOf(t, n)
	}
	return s
}

// shownByIP puts under each name what ip shows, by one process.
func shownByIP(t testing.TB, s map[string]string, family string, names []string, commands ...string) {
	t.Helper()
	out := json.NewDecoder(strings.NewReader(run(t,
		"ip -j -d "+family+" -batch - <<'END'\n"+strings.Join(commands, "\n")+"\nEND")))
	for _, name := range names {
		var document json.RawMessage
		must(t, out.Decode(&document))
		s[name] = neutral(string(document))
	}
	if out.More() {
		t.Fatalf("ip shows more than %q", commands)
	}
}

// settingsOf returns all settings of a device that can be read.
func settingsOf(t testing.TB, device string) string {
	t.Helper()
	var b strings.Builder
	for _, family := range []string{"ipv4", "ipv6"} {
		dir := "/proc/sys/net/" + family + "/conf/" + device
		files, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, f := range files {
			if value, err := os.ReadFile(dir + "/" + f.Name()); err == nil {
				fmt.Fprintf(&b, "%s/%s/%s:%s\n", family, device, f.Name(), strings.TrimSpace(string(value)))
			}
		}
	}
	return b.String()
}

func interfaceIndex(name string) (int, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Index, nil
}

// volatile are keys whose values change by themselves.
var volatile = []string{"valid_life_time", "preferred_life_time", "expires", "used", "confirmed", "updated"}

// neutral formats JSON without volatile values, one value a line.
func neutral(s string) string {
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	v = scrub(v)
	b := &bytes.Buffer{}
	e := json.NewEncoder(b)
	e.SetIndent("", " ")
	e.Encode(v)
	return b.String()
}

func scrub(v any) any {
	switch v := v.(type) {
	case []any:
		var out []any
		for _, x := range v {
			if m, ok := x.(map[string]any); ok && len(m) == 0 {
				continue // ip prints {} for what it filtered
			}
			out = append(out, scrub(x))
		}
		return out
	case map[string]any:
		for k := range v {
			if slices.Contains(volatile, k) {
				if n, ok := v[k].(float64); ok && n < 4294967295 {
					v[k] = "limited"
				}
				continue
			}
			v[k] = scrub(v[k])
		}
		return v
	}
	return v
}

func compare(t testing.TB, want, got map[string]string) {
	t.Helper()
	for _, name := range sortedKeys(want) {
		if d := cmp.Diff(strings.Split(want[name], "\n"), strings.Split(got[name], "\n")); d != "" {
			t.Errorf("%s (-before +after):\n%s", name, d)
		}
	}
}

// sorted orders the elements of a printed list.
func sorted(s string) string {
	var list []json.RawMessage
	if json.Unmarshal([]byte(s), &list) != nil {
		return s
	}
	slices.SortFunc(list, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	return neutral(string(must1(json.Marshal(list))))
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noTCX reports whether an error means that the kernel has no tcx.
func noTCX(err error) bool {
	return errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.EINVAL)
}

// kernelHas skips the test if the kernel lacks the method.
func kernelHas(t testing.TB, m tchook.Method) {
	t.Helper()
	const loopback = 1
	if _, err := link.QueryPrograms(link.QueryOptions{Target: loopback,
		Attach: ebpf.AttachTCXIngress}); m == tchook.ByTCX && noTCX(err) {
		t.Skip("needs Linux 6.6 for tcx")
	}
}

func TestMain(m *testing.M) {
	if spec := os.Getenv(crashVariable); spec != "" {
		crashProcess(spec)
	}
	labtest.Parallel(3) // they mostly wait, for the kernel and for programs
	labtest.Main(m)
}
