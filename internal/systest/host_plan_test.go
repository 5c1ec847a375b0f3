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

	w.nicteam(append(create, "--force")...)
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
	if len(s.Warnings) > 0 {
		t.Errorf("what was accepted with --force: %q", s.Warnings)
	}
	w.nicteam("delete", teamName)
	w.checkUnchanged("after the team", before)
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
