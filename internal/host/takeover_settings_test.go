// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// TestSettingsAreDecided: every per-link sysctl of this kernel is in the table.
func TestSettingsAreDecided(t *testing.T) {
	newWorld(t)
	for _, family := range []string{"ipv4", "ipv6"} {
		for _, table := range []string{"conf", "neigh"} {
			files, err := filepath.Glob("/proc/sys/net/" + family + "/" + table + "/na/*")
			must(t, err)
			if len(files) == 0 {
				t.Errorf("no %s/%s", family, table)
			}
			for _, f := range files {
				if !slices.ContainsFunc(linkSettings,
					func(s linkSetting) bool { return sysctlPath("na", s.key) == f }) {
					t.Errorf("%s: whether an adapter gets it is undecided", f)
				}
			}
		}
	}
}

func TestSysctlName(t *testing.T) {
	for _, c := range []struct{ nic, key, want string }{
		{"eth0", "ipv4/rp_filter", "net.ipv4.conf.eth0.rp_filter"},
		{"eth0", "ipv6/neigh/proxy_delay", "net.ipv6.neigh.eth0.proxy_delay"},
		{"eth0.5", "ipv6/accept_ra", "net/ipv6/conf/eth0.5/accept_ra"},
	} {
		if got := sysctlName(c.nic, c.key); got != c.want {
			t.Errorf("%s of %s: %s, want %s", c.key, c.nic, got, c.want)
		}
	}
}

// unusual changes a sysctl's value; false if the kernel refuses.
func unusual(t *testing.T, nic, key string) bool {
	t.Helper()
	path := sysctlPath(nic, key)
	was, ok := readSysctl(nic, key)
	tries := []string{"1", "0", "2", "3"}
	switch n, err := strconv.Atoi(was); {
	case key == "ipv6/stable_secret":
		tries = []string{"2001:db8:1:2:3:4:5:6"}
	case !ok:
		return false
	case err == nil:
		tries = append([]string{strconv.Itoa(n + 1)}, tries...)
		if n > 1000 {
			tries = append([]string{strconv.Itoa(n + 1000)}, tries...) // the kernel counts some in ticks
		}
	}
	for _, v := range tries {
		if v == was || os.WriteFile(path, []byte(v), 0) != nil {
			continue
		}
		if now, _ := readSysctl(nic, key); now != was {
			return true
		}
	}
	return false
}

func allSettings(nic string, carriedOnly bool) map[string]string {
	all := map[string]string{}
	for _, s := range linkSettings {
		if v, ok := readSysctl(nic, s.key); ok && (s.notCopied == "" || !carriedOnly) {
			all[s.key] = v
		}
	}
	return all
}

// TestCopySettings changes every sysctl of the MAC donor: the adapter has all before it comes up, and the NIC after the
// give-back, even if it lost them in between.
func TestCopySettings(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, c := range []struct{ name, meanwhile string }{
		{"", "true"},
		{"too small an MTU for IPv6", "ip link set na mtu 1000; ip link set na mtu 1400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			run(t,
				"ip addr add 10.9.0.1/24 dev na; ip addr add fd09::1/64 dev na nodad; ip link set na mtu 1400; ip "+
					"token set ::77 dev na")
			var other []string
			for _, s := range linkSettings {
				_, err := os.Stat(sysctlPath("na", s.key)) // this kernel may have no such setting
				if err == nil && s.notCopied == "" && s.key != disableIPv6 && !unusual(t, "na", s.key) {
					other = append(other, s.key)
				}
			}
			if len(other) > 3 {
				t.Errorf("no other value for %q", other)
			}
			before, want := allSettings("na", false), allSettings("na", true)
			token := run(t, "ip token get dev na")
			h := w.open(nil)
			must(t, h.Begin())
			adapter := w.tap()
			run(t, "ip link set "+teamName+" down")
			must(t, h.RecordAdapter(adapter))
			for _, n := range w.nics {
				must1(h.RecordMember(n))
			}
			notes, err := h.CopySettings(adapter, "na", w.nics)
			must(t, err)
			if len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
			if d := cmp.Diff(want, allSettings(teamName, true)); d != "" {
				t.Errorf("adapter (-NIC +adapter):\n%s", d)
			}
			must(t, h.BringUp(adapter))
			if d := cmp.Diff(want, allSettings(teamName, true)); d != "" {
				t.Errorf("adapter once it is up (-NIC +adapter):\n%s", d)
			}
			if got := run(t, "ip token get dev "+teamName); !strings.Contains(got, "::77") {
				t.Errorf("token %q", got)
			}
			must(t, h.Adopt(adapter, w.nics))
			for _, n := range w.nics {
				must(t, h.Strip(n, MemberSetup{MTU: 1400}))
			}
			run(t, c.meanwhile)
			must(t, finish(w, h))
			if d := cmp.Diff(before, allSettings("na", false)); d != "" {
				t.Errorf("NIC (-before +after):\n%s", d)
			}
			if got := run(t, "ip token get dev na"); got != token {
				t.Errorf("token was %q, is %q", token, got)
			}
		})
	}
}

// TestWhoseIPv6: the adapter has IPv6 if its members had.
func TestWhoseIPv6(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, c := range []struct {
		name, script string
		given        bool // an IPv6 address
		want         string
	}{
		{name: "on", script: "true", want: "0"},
		{name: "off everywhere", script: off("na") + off("nb"), want: "1"},
		{name: "off on the donor", script: off("na"), want: "1"},
		{name: "off on the other", script: off("nb"), want: "0"},
		{name: "off on the donor, the other has addresses", script: off("na") + "ip addr add fd08::1/64 dev nb nodad",
			want: "0"},
		{name: "off on the donor, the other's link-local was set by hand", script: off("na") +
			"ip addr add fe80::5/64 dev nb nodad", want: "0"},
		{name: "on for chosen NICs", script: off("default") + "ip addr add fd09::1/64 dev na nodad", want: "0"},
		{name: "on for chosen NICs without addresses", script: off("default"), want: "0"},
		{name: "off, and the adapter is given an address", script: off("na") + off("nb"), given: true, want: "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			t.Cleanup(func() { run(t, "echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6") })
			run(t, "ip addr add 10.9.0.1/24 dev na; ip route add default via 10.9.0.254 dev na;"+c.script)
			settled(t)
			before := snapshot(t)
			policy := "auto"
			if c.given {
				policy = "given"
			}
			h := w.open(nil)
			must(t, w.takeover(h, policy, w.nics...))
			if got, _ := readSysctl(teamName, disableIPv6); got != c.want {
				t.Errorf("disable_ipv6 is %s, want %s", got, c.want)
			}
			must(t, finish(w, h))
			compare(t, before, snapshot(t))
		})
	}
}

func off(nic string) string { return "echo 1 >/proc/sys/net/ipv6/conf/" + nic + "/disable_ipv6;" }

// TestForwardingOfOne enables forwarding on the adapter, as on its MAC donor: the kernel then removes default routes of
// links that ignore advertisements, and they must be restored.
func TestForwardingOfOne(t *testing.T) {
	w := newWorld(t)
	newRouter(t, 2, "").advertise("nc")
	run(t, `ip addr add fd09::1/64 dev na nodad
		echo 2 >/proc/sys/net/ipv6/conf/nc/accept_ra
		echo 1 >/proc/sys/net/ipv6/conf/na/forwarding; echo 2 >/proc/sys/net/ipv6/conf/na/accept_ra
		echo 1 >/proc/sys/net/ipv6/conf/nc/accept_ra`)
	newRouter(t, 1, "").advertise("na")
	before := map[string][]string{"na": learned(t, "na"), "nc": learned(t, "nc")}
	if len(before["na"]) != 1 || len(before["nc"]) != 1 {
		t.Fatalf("learned: %q", before)
	}
	h := w.open(nil)
	must(t, takeover(w, h))
	if d := cmp.Diff(before, map[string][]string{"na": learned(t, teamName), "nc": learned(t, "nc")}); d != "" {
		t.Errorf("with the team (-before +with):\n%s", d)
	}
	must(t, finish(w, h))
	if d := cmp.Diff(before, map[string][]string{"na": learned(t, "na"), "nc": learned(t, "nc")}); d != "" {
		t.Errorf("after the team (-before +after):\n%s", d)
	}
}

// TestReadOnlySysctls copies what it can on a read-only /proc/sys, and names the rest.
func TestReadOnlySysctls(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na; echo 2 >/proc/sys/net/ipv4/conf/na/rp_filter; echo 1 "+
			">/proc/sys/net/ipv4/conf/na/proxy_arp")
	h := w.open(nil)
	must(t, h.Begin())
	adapter := w.tap()
	run(t, "ip link set "+teamName+" down")
	must(t, h.RecordAdapter(adapter))
	must1(h.RecordMember("na"))
	must(t, unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""))
	t.Cleanup(func() { unix.Unmount("/proc/sys", 0) })
	must(t, unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if err := os.WriteFile(sysctlPath("na", "ipv4/rp_filter"), []byte("2"), 0); !errors.Is(err, unix.EROFS) {
		t.Skipf("/proc/sys is not read-only: %v", err)
	}
	notes, err := h.CopySettings(adapter, "na", []string{"na"})
	must(t, err)
	if len(notes) != 1 || !strings.Contains(notes[0], "net.ipv4.conf.team0.rp_filter=2") ||
		!strings.Contains(notes[0], "net.ipv4.conf.team0.proxy_arp=1") ||
		!strings.Contains(notes[0], "read-only") {
		t.Errorf("notes: %q", notes)
	}
	must(t, unix.Unmount("/proc/sys", 0))
	must(t, finish(w, h))
}

// TestSettingsOfOthers names sysctls of other members that the adapter does not get.
func TestSettingsOfOthers(t *testing.T) {
	w := newWorld(t)
	run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add 10.8.0.1/24 dev nb
		echo 2 >/proc/sys/net/ipv4/conf/nb/rp_filter; echo 1 >/proc/sys/net/ipv4/conf/na/arp_accept; echo 0 >/proc/sys/net/ipv6/conf/nb/accept_ra`)
	h := w.open(nil)
	must(t, h.Begin())
	adapter := w.tap()
	run(t, "ip link set "+teamName+" down")
	must(t, h.RecordAdapter(adapter))
	for _, n := range w.nics {
		must1(h.RecordMember(n))
	}
	notes, err := h.CopySettings(adapter, "na", w.nics)
	must(t, err)
	want := []string{"team0 has one value of each setting; these of nb are not copied: net.ipv4.conf.nb.rp_filter=2"}
	if d := cmp.Diff(want, notes); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
	must(t, finish(w, h))
}

// TestKernelLinkLocalKept takes over a NIC whose kernel forms no more link-local addresses, as dhcpcd has it, but has
// one. The adapter has one as well: without it no IPv6 host could be asked for its MAC.
func TestKernelLinkLocalKept(t *testing.T) {
	w := newWorld(t)
	run(t, `echo 1 >/proc/sys/net/ipv6/conf/na/addr_gen_mode; ip addr add fd09::1/64 dev na nodad
		ip -6 route add default via fe80::101 dev na`)
	settled(t)
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, donate("na")(w, h))
	// Without carrier the kernel does not form it yet.
	if got := run(t, "cat /proc/sys/net/ipv6/conf/"+teamName+"/addr_gen_mode"); strings.TrimSpace(got) != "0" {
		t.Errorf("the adapter's addr_gen_mode is %s", got)
	}
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}
