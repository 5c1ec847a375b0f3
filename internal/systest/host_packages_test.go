// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

var packages = flag.String("packages", "",
	"try packages on this `distribution`: a directory with a whole system and, in /packages, old and new ones")

// A packageManager has the commands of dpkg or rpm. Those of install also upgrade and downgrade.
type packageManager struct {
	suffix                            string
	install, remove, purge, installed string
}

var packageManagers = []packageManager{
	{".deb", "dpkg -i ", "dpkg -r nicteam", "dpkg -P nicteam", "dpkg-query -W -f '${Status}' nicteam"},
	{".rpm", "rpm -U --nodeps --oldpackage --replacepkgs ", "rpm -e nicteam", "", "rpm -q nicteam"},
}

// TestPackages is the life of a package on a host whose only way out is the team: nothing but the administrator's
// commands starts a team, an upgrade and a downgrade lose no frame, and after a removal the host is as before.
func TestPackages(t *testing.T) {
	if *packages == "" {
		t.Skip("needs packages and a distribution: make test-packages")
	}
	for _, m := range packageManagers {
		t.Run(m.suffix[1:], func(t *testing.T) { testPackages(t, m) })
	}
}

func testPackages(t *testing.T, m packageManager) {
	w := &systemdWorld{world: newWorld(t, worldOptions{Cables: true})}
	w.sd = labtest.Systemd(t, w.box, lab.SystemdOptions{Distribution: *packages,
		Files: map[string]string{unitFile + ".d/log.conf": "[Service]\nStandardError=append:" + unitLog + "\n"}})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the unit:\n%s", w.log())
		}
	})
	before, leftBefore := w.state(), w.inside("find / /run -xdev -name '*nicteam*' -not -path '/packages/*'")
	old, next := m.file(t, "old"), m.file(t, "new")

	w.inside(m.install + old)
	w.checkUnchanged("installed", before)
	w.checkUnit("installed", "inactive", "disabled")
	w.inside("grep -q ^nicteam: /etc/passwd && test -d /run/nicteam && nicteam list && " +
		"test -e /usr/share/man/man8/nicteam-create.8.gz")
	w.ok("create", teamName, "eth1", "eth2")
	w.checkUnit("after create", "active", "enabled")
	config := w.inside("cat /etc/nicteam/team0.yaml")

	for _, step := range []struct{ what, file, revision string }{
		{"upgrade", next, "packages-new"}, {"downgrade", old, "packages-old"}, {"installed again", old, "packages-old"},
	} {
		was := w.teamStatus()
		c := w.startEcho()
		tr := w.traffic(lab.Stream{Rate: 2000, Flows: 16})
		said := w.inside(m.install + step.file)
		tr.awaitFrames(500)
		out, in := tr.stop()
		for way, r := range map[string]lab.Report{"out": out, "in": in} {
			if r.Lost > 0 || r.Duplicated > 0 || r.Reordered > 0 {
				t.Errorf("%s, %s: %v", step.what, way, r)
			}
		}
		c.check("after " + step.what)
		is := w.teamStatus()
		if was == nil || is == nil || is.PID == was.PID || is.State != "up" || is.Supervisor.LastStart != "warm" {
			t.Fatalf("%s: %s\nthe team was %+v\nand is %+v", step.what, said, was, is)
		}
		if v := w.ok("version").Out; !strings.Contains(v, step.revision) {
			t.Errorf("%s: %s", step.what, v)
		}
		t.Logf("%s: out %v, in %v", step.what, out, in)
	}

	// A team that the package's scripts cannot end: the package stays.
	w.ok("delete", teamName)
	other := []string{"--run-dir", "/run/other", "--state-dir", "/var/lib/other", "--config-dir", "/etc/other"}
	w.ok(append([]string{"create", teamName, "eth1", "eth2"}, other...)...)
	if said, err := w.shell(m.remove); err == nil || !strings.Contains(said, "a team would stay behind") {
		t.Errorf("removed: %v\n%s", err, said)
	}
	w.inside(m.installed)
	reach(t, w.peer, box4)
	w.ok(append([]string{"delete", teamName}, other...)...)

	w.ok("create", teamName, "eth1", "eth2")
	w.inside(m.remove)
	w.checkUnchanged("removed", before)
	if now := w.inside("cat /etc/nicteam/team0.yaml"); now != config {
		t.Errorf("TEAM.yaml was\n%s\nand is\n%s", config, now)
	}
	if said, err := w.shell("nicteam version"); err == nil {
		t.Errorf("the program is there: %s", said)
	}

	w.inside(m.install + next)
	w.checkUnit("installed after a removal", "inactive", "enabled")
	w.ctl("start", unit)
	reach(t, w.peer, box4)
	w.inside(m.remove)
	w.checkUnchanged("removed again", before)
	if m.purge == "" {
		return
	}
	w.inside(m.purge)
	left := w.inside("find / /run -xdev -name '*nicteam*' -not -path '/packages/*' -not -name '*.log'")
	if left != leftBefore {
		t.Errorf("purged: there was\n%s\nand is\n%s", leftBefore, left)
	}
	if said, err := w.shell("grep nicteam /etc/passwd /etc/group"); err == nil {
		t.Errorf("purged: %s", said)
	}
}

// file is the package, old or new, as box sees it.
func (m packageManager) file(t *testing.T, age string) string {
	t.Helper()
	list, _ := filepath.Glob(*packages + "/packages/" + age + "/*" + m.suffix)
	if len(list) != 1 {
		t.Fatalf("%s %s: %q", age, m.suffix, list)
	}
	if _, err := os.Stat(*packages + "/usr/bin/" + strings.Fields(m.install)[0]); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(list[0], *packages)
}

// shell runs a shell beside systemd and returns what it says.
func (w *systemdWorld) shell(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	b, err := w.sd.CommandContext(ctx, "sh", "-ec", script).CombinedOutput()
	return string(b), err
}

// inside is shell for what has to succeed.
func (w *systemdWorld) inside(script string) string {
	w.t.Helper()
	said, err := w.shell(script)
	if err != nil {
		w.t.Fatalf("%s: %v\n%s\n%s", script, err, said, w.log())
	}
	return said
}
