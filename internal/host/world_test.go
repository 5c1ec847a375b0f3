// SPDX-License-Identifier: MIT

package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
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
			exec.Command("ip", "link", "del", l).Run()
		}
		exec.Command("sh", "-c",
			"while ip rule del pref 100; do :; done; while ip -6 rule del pref 101; do :; done; nft flush "+
				"ruleset").Run()
	}
	clean()
	t.Cleanup(clean)
	for _, l := range []string{"na", "nb", "nc"} {
		run(t, fmt.Sprintf(`
			ip link add %[1]s type veth peer name p%[1]s
			sysctl -qw net.ipv6.conf.%[1]s.accept_dad=0 2>/dev/null || echo 0 >/proc/sys/net/ipv6/conf/%[1]s/accept_dad
			echo 1 >/proc/sys/net/ipv6/conf/p%[1]s/disable_ipv6
			ip link set p%[1]s up
			ip link set %[1]s up`, l))
	}
	// The kernel makes them when it notices the carrier.
	labtest.Eventually(t, "link-local addresses", func() bool {
		have := run(t, "ip -6 -o addr show scope link")
		return strings.Contains(have, ": na ") && strings.Contains(have, ": nb ") && strings.Contains(have, ": nc ")
	})
	settled(t)
	return w
}

// settled waits for the end of duplicate address detection.
func settled(t *testing.T) {
	t.Helper()
	labtest.Eventually(t, "IPv6 addresses in use", func() bool {
		local := run(t, "ip -6 route show table local")
		for line := range strings.Lines(run(t,
			"ip -6 -o addr show up scope global; ip -6 -o addr show up scope link")) {
			f := strings.Fields(line)
			ip, _, _ := strings.Cut(f[3], "/")
			if strings.Contains(line, " tentative") || !strings.Contains(local, "local "+ip+" dev "+f[1]+" ") {
				return false
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
		"addr":     "ip -j -d addr show",
		"link":     "ip -j -d link show",
		"route4":   "ip -j -d -4 route show; ip -j -d -4 route show table 77 2>/dev/null || true",
		"local4":   "ip -j -d -4 route show table local",
		"route6":   "ip -j -d -6 route show table all",
		"rule4":    "ip -j -d rule show",
		"rule6":    "ip -j -d -6 rule show",
		"neigh":    "ip -j -d neigh show nud permanent",
		"proxy":    "ip neigh show proxy",
		"gateway":  "ip -j -d neigh show 10.9.0.254 | grep -o '\"lladdr\":\"[^\"]*\"\\|\"dev\":\"[^\"]*\"' || true",
		"features": "for n in na nb nc; do ethtool -k $n; done",
		"tc": "for n in na nb nc; do tc qdisc show dev $n; tc filter show dev $n ingress; tc filter show dev " +
			"$n egress; done",
		"nft":    "nft list ruleset 2>/dev/null || true",
		"sysctl": "cd /proc/sys/net; for n in na nb nc; do grep -rs . ipv4/conf/$n ipv6/conf/$n || true; done",
	} {
		s[name] = neutral(run(t, script))
		if name == "route6" || name == "local4" {
			// Of the kernel's routes for several links in one subnet, those of the link come last that got its address
			// last.
			s[name] = sorted(s[name])
		}
	}
	for _, n := range []string{"na", "nb", "nc"} {
		s["tcx"] += fmt.Sprintln(n, tcxPrograms(t, n, ebpf.AttachTCXIngress), tcxPrograms(t, n, ebpf.AttachTCXEgress))
	}
	return s
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
