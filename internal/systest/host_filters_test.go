// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// TestRulesAreAskedFor: rules that name a NIC need -y or --force before anything is changed, at create and at add. With
// -y, and in a dry run, they are warnings before the first step.
func TestRulesAreAskedFor(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "nft", "nftables")
	w := newWorld(t, worldOptions{NICs: 3})
	w.sh(`nft 'table inet f { chain i { type filter hook input priority 0; policy drop; ct state established,related accept; meta l4proto { icmp, ipv6-icmp } accept; iifname { "lo", "eth1" } accept; iifname "eth3" drop; }; }'`)
	before := w.state()
	create := append([]string{"create", teamName}, nics(2)...)
	for _, more := range [][]string{{}, {"--dry-run"}, {"--foreground"}} {
		checkRefused(t, w.try(append(create, more...)...), 5, "create team0", "inet f, chain i", "eth1", "--force")
	}
	w.checkUnchanged("after a create that was refused", before)
	w.checkNoFiles("after a create that was refused")
	if r := w.try(append(create, "--dry-run", "-y")...); r.Code != 0 ||
		!strings.Contains(r.Err, "warning: firewall rules match traffic of eth1") {
		t.Errorf("dry run: %+v", r)
	}
	w.checkUnchanged("after a dry run", before)

	out, err := w.box.Command(program(t), append(create, "-y")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	warned, begun := strings.Index(string(out), "warning: firewall rules match traffic of eth1"),
		strings.Index(string(out), "adapter team0")
	if warned < 0 || begun < 0 || warned > begun {
		t.Errorf("create says\n%s", out)
	}
	if n := strings.Count(string(out), "firewall rules match traffic of eth1"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, out)
	}
	checkRefused(t, w.try("add", teamName, "eth3"), 5, "add to team0", `iifname "eth3" drop`, "--force")
	if s := w.status(); len(s.Members) != 2 {
		t.Errorf("%d members after an add that was refused", len(s.Members))
	}
	// In another network namespace the caller sees other devices than the team.
	out, err = w.box.Command("unshare", "-n", program(t), "add", teamName, "eth3").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `iifname "eth3" drop`) {
		t.Errorf("add from elsewhere: %v\n%s", err, out)
	}
	if r := w.try("add", teamName, "eth3", "-y"); r.Code != 0 || !strings.Contains(r.Err, `iifname "eth3" drop`) ||
		!strings.Contains(r.Out, "eth3 joined") {
		t.Errorf("add: %+v", r)
	}
	w.nicteam("delete", teamName)

	// The fix in the error helps.
	w.sh(`nft 'add rule inet f i iifname "team0" accept; add rule inet f i iifname { "lo", "team0" } accept'`)
	if r := w.try(create...); r.Code != 0 || strings.Contains(r.Err, "firewall") {
		t.Errorf("with rules for the team: %+v", r)
	}
}

// TestWhatStandsOnTheAdapter: interfaces on the adapter end with it only with --force.
func TestWhatStandsOnTheAdapter(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{})
	other := labtest.Host(t, "other")
	w.create(nics(2))
	before := w.status().Adapter
	for _, test := range []struct{ name, make, gone, says string }{
		{"macvlan", "ip link add up9 link team0 type macvlan mode bridge", "ip link del up9", "macvlan up9"},
		{"ipvlan", "ip link add up9 link team0 type ipvlan mode l2", "ip link del up9", "ipvlan up9"},
		{"VLAN", "ip link add up9 link team0 type vlan id 7", "ip link del up9", "vlan up9"},
		{"bridge", "ip link add br9 type bridge; ip link set team0 master br9",
			"ip link set team0 nomaster; ip link del br9", "bridge br9"},
		{"macvlan of another namespace",
			fmt.Sprintf("ip link add up9 link team0 netns /proc/%d/fd/%d type macvlan mode bridge", os.Getpid(),
				other.NetNS()), "", "macvlan up9 (in "},
	} {
		t.Run(test.name, func(t *testing.T) {
			if out, err := w.box.Command("sh", "-ec", test.make).CombinedOutput(); err != nil {
				t.Skipf("this kernel does not do it: %s", out)
			}
			defer func() {
				if test.gone != "" {
					w.sh(test.gone)
				} else {
					labtest.Run(t, other, "ip", "link", "del", "up9")
				}
			}()
			checkRefused(t, w.try("delete", teamName), 5, "delete team0", test.says, "--force")
		})
	}
	if after := w.status().Adapter; after.Index != before.Index || !slices.Equal(after.Addresses, before.Addresses) {
		t.Errorf("the adapter was %+v and is %+v", before, after)
	}
	w.sh("ip link add up9 link team0 type macvlan mode bridge")
	if out := w.nicteam("delete", teamName, "--force"); !strings.Contains(out, "macvlan up9") {
		t.Errorf("delete --force says %q", out)
	}
	w.checkNoFiles("after delete --force")
}

// TestFilterThatComes: a filter that comes to a member does not see frames of the team, and the status warns of it
// until it is gone. One that was accepted is no warning.
func TestFilterThatComes(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "tc", "iproute2")
	labtest.Tool(t, "nft", "nftables")
	w := newWorld(t, worldOptions{})
	hang := func(nic string, pref int) string {
		return fmt.Sprintf("tc qdisc replace dev %[1]s clsact; "+
			"tc filter add dev %[1]s ingress pref %[2]d protocol ip u32 match ip dport 8080 0xffff flowid "+
			"1:1", nic, pref)
	}
	if out, err := w.box.Command("sh", "-ec", hang("eth1", 7)).CombinedOutput(); err != nil {
		t.Skipf("this kernel does not do it: %s", out)
	}
	w.sh(`nft 'table inet f { chain i { type filter hook input priority 0; iifname "eth1" accept; }; }'`)
	checkRefused(t, w.try(append([]string{"create", teamName}, nics(2)...)...), 5, "eth1", `tc filter "u32" pref 7`,
		"--force")
	script := func(s string) func() { return func() { w.sh(s) } }
	var program *foreignProgram
	for _, path := range []string{"relay", "auto"} {
		w.create(nics(2), "-y", "--datapath", path)
		if s := w.status(); len(s.Warnings) > 0 {
			t.Errorf("%s: what was answered for: %q", path, s.Warnings)
		}
		for _, test := range []struct {
			name       string
			come, goes func()
			says       string
		}{
			{"tc", script(hang("eth2", 9)), script("tc filter del dev eth2 ingress pref 9"), `tc filter "u32" pref 9`},
			{"tcx", func() { program = w.attachForeignProgram("eth2") }, func() { program.detach() }, "tcx program"},
			{"nftables hook", script(`nft 'table netdev g { chain i { type filter hook ingress device "eth2" priority 0; ip saddr 192.0.2.0/24 drop; }; }'`),
				script("nft delete table netdev g"), "netdev g, chain i, hooked on eth2"},
			{"nftables rule", script(`nft 'table inet g { chain i { type filter hook input priority 0; iifname { "eth2", "eth7" } drop; }; }'`),
				script("nft delete table inet g"), `inet g, chain i: iifname { … } drop`},
			{"macvlan", script("ip link add up9 link eth2 type macvlan mode bridge"), script("ip link del up9"),
				"up9, which stands on eth2"},
			{"rule in a chain that is there", script(`nft add rule inet f i iifname "eth2" drop`),
				script("nft flush chain inet f i"), `iifname "eth2" drop`},
		} {
			test.come()
			s := w.await("a warning of "+test.name, func(s *api.Status) bool { return len(s.Warnings) > 0 })
			if text := strings.Join(s.Warnings, ""); !strings.Contains(text, test.says) ||
				strings.Contains(text, "eth1") {
				t.Errorf("%s: %s: warnings %q, want %q", path, test.name, s.Warnings, test.says)
			}
			test.goes()
			w.await("no warning of "+test.name, func(s *api.Status) bool { return len(s.Warnings) == 0 })
		}
		w.nicteam("delete", teamName)
		w.sh(`tc qdisc del dev eth2 clsact; nft add rule inet f i iifname "eth1" accept`)
	}
}

// TestLinkThatComes: a device that somebody puts on a member, or a master of a member, is a warning until it is gone.
func TestLinkThatComes(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{})
	w.create(nics(2))
	for _, test := range []struct{ name, come, goes, says string }{
		{"macvlan", "ip link add up9 link eth2 type macvlan mode bridge", "ip link del up9",
			"up9, which stands on eth2"},
		{"VXLAN", "ip link add up9 type vxlan id 9 dstport 4789 remote 192.0.2.9 dev eth2", "ip link del up9",
			"up9, which stands on eth2"},
		{"bridge", "ip link add up9 type bridge; ip link set eth2 master up9", "ip link del up9",
			"bridge up9, which eth2 was put into"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if out, err := w.box.Command("sh", "-ec", test.come).CombinedOutput(); err != nil {
				t.Skipf("this kernel does not do it: %s", out)
			}
			s := w.await("a warning", func(s *api.Status) bool { return len(s.Warnings) > 0 })
			if !strings.Contains(strings.Join(s.Warnings, ""), test.says) {
				t.Errorf("warnings %q, want %q", s.Warnings, test.says)
			}
			w.sh(test.goes)
			w.await("no warning", func(s *api.Status) bool { return len(s.Warnings) == 0 })
		})
	}
}

// TestProgramsOfOthersAtAdd: add, as create, reports programs that only root can see, though the process of the team
// cannot.
func TestProgramsOfOthersAtAdd(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3})
	sleep, err := w.box.Command("sh", "-c", "command -v sleep").Output()
	labtest.Must(t, err)
	b, err := os.ReadFile(strings.TrimSpace(string(sleep)))
	labtest.Must(t, err)
	manager := filepath.Join(t.TempDir(), "NetworkManager")
	labtest.Must(t, os.WriteFile(manager, b, 0o755))
	running := w.box.Command(manager, "60")
	labtest.Must(t, running.Start())
	defer func() {
		_ = running.Process.Kill()
		_ = running.Wait()
	}()
	for _, r := range []result{
		w.try(append([]string{"create", teamName}, nics(2)...)...),
		w.try("add", teamName, "eth3"),
	} {
		if r.Code != 0 || !strings.Contains(r.Err, "warning: NetworkManager may configure") {
			t.Errorf("%+v", r)
		}
	}
}
