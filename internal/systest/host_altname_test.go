// SPDX-License-Identifier: MIT

package systest

import (
	"os"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// TestAltnames: an altname is accepted wherever a NIC is named, and a team cannot have one as its name.
func TestAltnames(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 4, Cables: true})
	const first, second = "enp99s0f0np0", "an-altname-that-is-longer-than-a-name"
	w.sh(`
		ip link property add dev eth1 altname ` + first + `
		ip link property add dev eth2 altname ` + second + ` altname lan.right
		ip link property add dev eth3 altname spare altname teamalt
		ip link property add dev eth4 altname of-another-team`)
	before := w.state()
	checkRefused(t, w.try("create", "teamalt", "eth1", "eth2"), 5, "altname of NIC eth3")
	checkRefused(t, w.try("create", teamName, first, "eth1"), 2, "twice")
	checkRefused(t, w.try("create", teamName, "nosuchaltname"), 3)
	w.checkUnchangedSnapshot(before.all)

	w.nicteam("create", teamName, first, second, "--mode", "active-backup", "--primary", "lan.right", "--weight",
		first+"=3")
	s := w.await("the primary", func(s *api.Status) bool { return s.Active == "eth2" })
	if len(s.Members) != 2 || s.Members[0].Name != "eth1" || s.Members[0].Weight != 3 || s.Members[1].Name != "eth2" ||
		s.Settings.Primary != "eth2" {
		t.Errorf("status %+v", s)
	}
	w.set("primary=" + first)
	w.await("another primary", func(s *api.Status) bool { return s.Active == "eth1" })
	w.set("active="+second, "weight.lan.right=2", "primary=")
	s = w.await("the active one", func(s *api.Status) bool { return s.Active == "eth2" })
	if m := memberOf(t, s, "eth2"); m.Weight != 2 {
		t.Errorf("weight %v", m.Weight)
	}
	w.nicteam("add", teamName, "spare")
	if m := w.member("eth3"); m.State == "absent" {
		t.Errorf("eth3 is %+v", m)
	}
	checkRefused(t, w.try("add", teamName, "teamalt"), 5, "eth3", "already")
	checkRefused(t, w.try("create", "team1", "spare", "of-another-team"), 5, "eth3", "team team0")
	labtest.Eventually(t, "history of a NIC by its altname", func() bool {
		r := w.try("export", teamName+"/"+second, "--format", "csv", "-o", "-")
		return r.Code == 0 && strings.Contains(r.Out, ",")
	})
	if r := w.try("watch", teamName+"/"+second, "--json", "--count", "1", "--interval", "100ms"); r.Code != 0 ||
		!strings.Contains(r.Out, `"eth2"`) {
		t.Errorf("watch: exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	w.nicteam("remove", teamName, second)
	b, err := os.ReadFile(w.box.Path("/etc/nicteam/" + teamName + ".yaml"))
	labtest.Must(t, err)
	if strings.Contains(string(b), "lan.right") || strings.Contains(string(b), first) {
		t.Errorf("altnames are written down:\n%s", b)
	}
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
}
