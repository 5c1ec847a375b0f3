// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// linkConfig is what the ip command shows of a link of box.
func (w *world) linkConfig(link string) []string {
	w.t.Helper()
	return labtest.LinkConfig(func(script string) string {
		out, err := w.box.Command("sh", "-ec", script).CombinedOutput()
		if err != nil {
			w.t.Fatalf("%s: %v: %s", script, err, out)
		}
		return string(out)
	}, link)
}

// plan returns the plan in the answer to a dry run.
func (w *world) plan(args ...string) *api.Plan {
	w.t.Helper()
	return w.planIn(w.try(append(args, "--dry-run", "--json")...))
}

func (w *world) planIn(r result) *api.Plan {
	w.t.Helper()
	var doc struct {
		Schema string
		Plan   *api.Plan
	}
	if err := json.Unmarshal([]byte(r.Out), &doc); err != nil || doc.Plan == nil {
		w.t.Fatalf("no plan (%v): %+v", err, r)
	}
	return doc.Plan
}

// movesTo lists what a plan moves to a link, in the form of linkConfig.
func movesTo(p *api.Plan, link string) []string {
	list := []string{}
	for _, m := range p.Moves {
		if m.To == link {
			list = append(list, m.Kind+" "+m.What)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestPlanIsWhatCreateDoes compares the plan of a create with the host after it.
func TestPlanIsWhatCreateDoes(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "nft", "nftables")
	labtest.Tool(t, "script", "bsdutils")
	w := newWorld(t, worldOptions{Cables: true})
	w.configureHost()
	w.sh(`nft 'table inet f { chain i { type filter hook input priority 0; iifname "eth1" accept; }; }'
		ip link add mv9 link eth2 type macvlan mode bridge`)
	before := w.state()
	create := []string{"create", teamName, "eth1", "eth2", "--mode", "active-backup"}
	r := w.try(append(create, "--dry-run", "--json", "-y")...)
	p := w.planIn(r)
	if r.Code != 5 || len(p.Blocked) != 2 || p.Blocked[0].NIC != "eth2" || p.Blocked[0].Accepted ||
		!strings.Contains(p.Blocked[0].Why, "mv9") || p.Blocked[1].NIC != "eth1" || !p.Blocked[1].Accepted {
		t.Errorf("exit %d, blocked %+v", r.Code, p.Blocked)
	}
	checkRefused(t, w.try(append(create, "-y")...), 5, "NIC eth2", "mv9", "--force")
	p = w.plan(append(create, "--force")...)
	w.checkUnchanged("after dry runs", before)
	w.checkNoFiles("after dry runs")

	typed := program(t) + " " + strings.Join(create, " ") + " --force"
	out, err := w.box.Command("script", "-qec", typed, "/dev/null").CombinedOutput()
	head, made := strings.Index(string(out), "moves: "), strings.Index(string(out), "adapter team0: ")
	if err != nil || head < 0 || made < head || !strings.Contains(string(out), "team0: mode active-backup, MAC ") {
		t.Errorf("create on a terminal: %v\n%s", err, out)
	}
	if d := cmp.Diff(movesTo(p, teamName), w.linkConfig(teamName)); d != "" {
		t.Errorf("%s (-plan +ip):\n%s", teamName, d)
	}
	s := w.status()
	if a := s.Adapter; p.Adapter.MAC != a.MAC || p.Adapter.MTU != a.MTU || p.Adapter.Mode != s.Mode ||
		p.Adapter.MACFrom != "eth1" {
		t.Errorf("planned adapter %+v, is %+v in mode %s", p.Adapter, a, s.Mode)
	}
	for _, n := range p.NICs {
		i := slices.IndexFunc(s.Members, func(m api.Member) bool { return m.Name == n.Name })
		if i < 0 || s.Members[i].MAC != n.MAC || s.Members[i].Driver != n.Driver || !n.Link {
			t.Errorf("planned NIC %+v, members %+v", n, s.Members)
		}
	}
	for _, f := range p.Files {
		w.sh("test -f " + f.Path)
	}
	if text := strings.Join(s.Warnings, ""); strings.Contains(text, "mv9") || strings.Contains(text, "iifname") {
		t.Errorf("what was accepted with --force: %q", s.Warnings)
	}
	w.nicteam("delete", teamName)
	w.checkUnchanged("after the team", before)
}

// TestPlansOfChanges compares the plans of add, set, remove and delete with the host after them.
func TestPlansOfChanges(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	w.sh("ip addr add 10.7.0.1/24 dev eth3; ip route add 10.70.0.0/16 via 10.7.0.2 dev eth3")
	create := append([]string{"create", teamName, "--mode", "active-backup"}, nics(2)...)
	if out := w.nicteam(create...); strings.Contains(out, "moves: ") {
		t.Errorf("a plan, though this is no terminal:\n%s", out)
	}

	running := func() []string { return w.linkConfig(teamName) }
	before := running()
	p := w.plan("add", teamName, "eth3")
	if d := cmp.Diff(before, running()); d != "" {
		t.Errorf("after a dry run (-before +after):\n%s", d)
	}
	w.nicteam("add", teamName, "eth3", "-y")
	came := slices.DeleteFunc(running(), func(s string) bool { return slices.Contains(before, s) })
	if d := cmp.Diff(movesTo(p, teamName), came); d != "" || len(came) != 3 {
		t.Errorf("add (-plan +ip):\n%s", d)
	}

	status := w.status()
	p = w.plan("set", teamName, "hash=layer2", "weight.eth1=2", "mtu=1400")
	if s := w.status(); s.Settings.Hash != status.Settings.Hash || s.Adapter.MTU != status.Adapter.MTU {
		t.Errorf("a dry run of set has set %+v", s.Settings)
	}
	var set []string
	for _, s := range p.Settings {
		if set = append(set, s.Key+": "+s.From+" to "+s.To); s.Effect == "" {
			t.Errorf("no effect of %+v", s)
		}
	}
	want := []string{"hash: layer3+4 to layer2", "mtu: 1500 to 1400", "weight.eth1: 1 to 2"}
	if d := cmp.Diff(want, set); d != "" {
		t.Errorf("set (-want +got):\n%s", d)
	}
	checkRefused(t, w.try("set", teamName, "mtu=100", "--dry-run"), 2)
	if out := w.nicteam("set", teamName, "mode=xor", "--dry-run"); !strings.Contains(out, "static LAG") {
		t.Errorf("set mode says\n%s", out)
	}

	r := w.try("remove", teamName, "eth1", "eth2", "eth3", "--dry-run", "--json")
	if p := w.planIn(r); r.Code != 5 || len(p.Blocked) != 1 || len(p.NICs) != 3 {
		t.Errorf("remove all: exit %d, %+v", r.Code, p)
	}
	if out := w.nicteam("remove", teamName, "eth1", "--dry-run"); !strings.Contains(out, "eth1 is released down") {
		t.Errorf("remove says\n%s", out)
	}
	if s := w.status(); len(s.Members) != 3 {
		t.Errorf("a dry run of remove has left %d members", len(s.Members))
	}

	w.sh("ip addr add 10.9.0.77/24 dev team0; ip route add 10.71.0.0/16 via 10.9.0.2 dev team0")
	p = w.plan("delete", teamName)
	w.nicteam("delete", teamName)
	for _, n := range nics(3) {
		got := slices.DeleteFunc(w.linkConfig(n), func(s string) bool {
			return strings.HasPrefix(s, "rule ") || strings.HasPrefix(s, "neighbour ")
		})
		list := []string{}
		for _, m := range p.Moves {
			if m.Kind != "rule" && slices.Contains(strings.Split(m.To, ", "), n) {
				list = append(list, m.Kind+" "+m.What)
			}
		}
		slices.Sort(list)
		if d := cmp.Diff(list, got); d != "" {
			t.Errorf("delete: %s (-plan +ip):\n%s", n, d)
		}
	}
}

// TestUnreadableJournal: a journal that cannot be used gives way to --force, but not while the adapter is there.
func TestUnreadableJournal(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	const journal = "/var/lib/nicteam/team0.journal"
	create := []string{"create", teamName, "eth1", "eth2", "--mode", "active-backup"}
	for name, script := range map[string]string{
		"of a newer version": "echo nicteam-journal 99 >" + journal,
		"unreadable":         "mkdir " + journal,
	} {
		w.sh("rm -rf /var/lib/nicteam/*; " + script)
		r := w.try(create...)
		checkRefused(t, r, r.Code, "use journal of team0", "--force")
		if r.Code != 5 && r.Code != 1 {
			t.Errorf("%s: exit %d", name, r.Code)
		}
		w.sh("ip tuntap add dev team0 mode tap")
		checkRefused(t, w.try(append(create, "--force")...), r.Code, "--force does not help while team0 is there")
		w.sh("ip link del team0")
		w.nicteam(append(create, "--force", "--dry-run")...)
		w.sh("test -e " + journal)
		if r := w.try(append(create, "--force")...); r.Code != 0 || !strings.Contains(r.Err, "put aside") {
			t.Errorf("%s: %+v", name, r)
		}
		w.nicteam("delete", teamName)
		w.sh("test -e " + journal + ".unreadable; test ! -e " + journal)
		w.checkUnchanged("after a journal "+name, before)
	}
}
