// SPDX-License-Identifier: MIT

package systest

import (
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestUnitFromCreateToDelete: create enables and starts the unit, a reboot brings the team back, a stop gives the NICs
// back, and delete disables it.
func TestUnitFromCreateToDelete(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	before := w.state()
	r := w.ok("create", teamName, "eth1", "eth2")
	if !strings.Contains(r.Out, unit+" is enabled: the team comes back after a reboot") {
		t.Errorf("create says %s%s", r.Out, r.Err)
	}
	w.checkUnit("after create", "active", "enabled")
	reach(t, w.peer, box4)

	labtest.Must(t, w.sd.Shutdown())
	w.checkUnchanged("after the shutdown", before)
	labtest.Must(t, w.sd.Boot())
	w.checkUnit("after the boot", "active", "enabled")
	if s := w.teamStatus(); s == nil || s.State != "up" || len(s.Warnings) > 0 {
		t.Errorf("after the boot the team is %+v", s)
	}
	reach(t, w.peer, box4)

	w.ctl("stop", unit)
	w.checkUnit("after stop", "inactive", "enabled")
	w.checkUnchanged("after stop", before)
	w.ctl("start", unit)
	w.ok("delete", teamName)
	w.checkUnit("after delete", "inactive", "disabled")
	w.checkUnchanged("after delete", before)
	if w.hasFile("/etc/nicteam/" + teamName + ".yaml") {
		t.Error("delete left TEAM.yaml")
	}
}

// TestUnitSandbox: what the process may not see or do is seen and done before it starts: programs that serve a NIC are
// named, and udev leaves the adapter's MAC alone. Changes of the running team work.
func TestUnitSandbox(t *testing.T) {
	parallel(t)
	const client = "[Service]\nExecStart=/bin/bash -c 'printf wickedd >/proc/$$$$/comm; sleep 1000; true' - eth1\n"
	w := &systemdWorld{world: newWorld(t, worldOptions{Cables: true, NICs: 3})}
	w.boot(map[string]string{"/etc/systemd/system/client.service": client})
	before := w.state()
	donor := link(t, w.box, "eth1").HardwareAddr
	w.writeConfig(plainConfig)
	w.ctl("start", "client")
	labtest.Eventually(t, "the network manager", func() bool {
		b, _ := w.sd.CommandContext(t.Context(), "pgrep", "wickedd").Output()
		return len(b) > 0
	})
	u, err := lab.NewUdev(w.box, 5*time.Millisecond)
	labtest.Must(t, err)
	w.ctl("start", unit)
	s := w.teamStatus()
	names := func(text string) bool { return strings.HasPrefix(text, "wickedd ") }
	if s == nil || !slices.ContainsFunc(s.Warnings, names) {
		t.Errorf("the team is %+v", s)
	}
	if mac := link(t, w.box, teamName).HardwareAddr; mac.String() != donor.String() {
		t.Errorf("the adapter's MAC is %v, want %v", mac, donor)
	}
	labtest.Must(t, u.Close())
	w.ctl("stop", "client")

	for _, change := range [][]string{{"add", teamName, "eth3"}, {"set", teamName, "mode=802.3ad"},
		{"set", teamName, "mtu=1400"}, {"set", teamName, "datapath=relay"},
		{"set", teamName, "mode=elb", "datapath=auto"}, {"remove", teamName, "eth1"}} {
		w.ok(change...)
	}
	reach(t, w.peer, box4)
	if log := w.log(); strings.Contains(log, "not permitted") || strings.Contains(log, "read-only") ||
		strings.Contains(log, "confined") {
		t.Errorf("the sandbox is in the way:\n%s", log)
	}
	if said := w.ok("events", teamName).Out; strings.Contains(said, "adapter-mac") {
		t.Errorf("events\n%s", said)
	}
	if b, err := os.ReadFile(w.sd.Path("/etc/nicteam/" + teamName + ".yaml")); !strings.Contains(string(b), "eth3") {
		t.Errorf("TEAM.yaml has not followed (%v):\n%s", err, b)
	}
	w.ok("delete", teamName)
	w.checkUnchanged("after delete", before)
}

// TestUnitGoesOnWarm: the next process goes on with what systemd keeps, after a restart and after a death.
func TestUnitGoesOnWarm(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	w.ok("create", teamName, "eth1", "eth2")
	c := w.startEcho()
	was, kept := w.teamStatus(), w.property("NFileDescriptorStore")
	for _, end := range []struct {
		after string
		next  func()
	}{
		{"handover", func() { w.ctl("restart", unit) }},
		{"handover", func() { w.ok("restart", teamName) }},
		{"death", func() {
			w.kill()
			labtest.Eventually(t, "the next process", func() bool { return w.property("ActiveState") == "active" })
		}},
	} {
		end.next()
		is := w.teamStatus()
		if is == nil || is.State != "up" || is.PID == was.PID || is.Adapter.Index != was.Adapter.Index ||
			is.Supervisor.Kind != "systemd" || is.Supervisor.LastStart != "warm" || is.Supervisor.After != end.after {
			t.Fatalf("after a %s the team is %+v", end.after, is)
		}
		if n := w.property("NFileDescriptorStore"); n != kept {
			t.Errorf("after a %s systemd keeps %s descriptors, before it kept %s", end.after, n, kept)
		}
		c.check("after a " + end.after)
		was = is
	}
}

// TestUnitAfterDeaths: a process that dies is replaced; after five deaths in ten seconds the NICs are given back, and a
// stop need not wait for the end of the pause. A stop right after a death gives back, too.
func TestUnitAfterDeaths(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	before := w.state()
	w.ok("create", teamName, "eth1", "eth2")
	w.kill()
	labtest.Eventually(t, "the next process", func() bool { return w.property("ActiveState") == "active" })
	reach(t, w.peer, box4)
	labtest.Eventually(t, "the pause", func() bool {
		_, _ = w.sd.Systemctl("kill", "--kill-who=main", "-s", "KILL", unit)
		return strings.Contains(w.log(), "pause after too many deaths")
	})
	w.checkUnchanged("after five deaths", before)
	w.ctl("stop", unit)

	for range 3 {
		w.ctl("start", unit)
		w.ctl("kill", "--kill-who=main", "-s", "KILL", unit)
		w.stop()
		w.checkUnchanged("stopped when its process was dead", before)
	}
}

// TestUnitStoppedBetweenProcesses: systemd waits before it starts a process that died again, and runs nothing of the
// unit at a stop meanwhile. The NICs are given back all the same, and the next start waits for that. A restart that is
// asked for meanwhile gives nothing back.
func TestUnitStoppedBetweenProcesses(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, map[string]string{unitFile + ".d/late.conf": "[Service]\nRestartSec=1h\n"})
	before := w.state()
	w.ok("create", teamName, "eth1", "eth2")
	waits := func() {
		t.Helper()
		w.ctl("kill", "--kill-who=main", "-s", "KILL", unit)
		labtest.Eventually(t, "the wait", func() bool { return w.property("SubState") == "auto-restart" })
	}
	waits()
	w.ctl("restart", unit)
	if s := w.teamStatus(); s == nil || s.Supervisor.LastStart != "warm" {
		t.Errorf("after a restart while systemd waits the team is %+v", s)
	}
	waits()
	w.ctl("stop", unit)
	w.ctl("start", unit)
	reach(t, w.peer, box4)
	waits()
	w.stop()
	w.checkUnchanged("stopped while systemd waits", before)
}

// TestUnitStoppedWhileItEnds: the process has died, ExecStopPost has left the NICs to the next one, and has not ended
// when a stop comes. There will be no next one, and systemd runs nothing more of the unit, which has failed.
func TestUnitStoppedWhileItEnds(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, map[string]string{unitFile + ".d/slow.conf": "[Service]\n" +
		"ExecStopPost=+/bin/sh -c 'echo >/var/log/left; until [ -e /var/log/stopped ]; do sleep .1; done'\n"})
	before := w.state()
	w.ok("create", teamName, "eth1", "eth2")
	w.ctl("kill", "--kill-who=main", "-s", "KILL", unit)
	labtest.Eventually(t, "the end of ExecStopPost", func() bool {
		_, err := os.Stat(w.sd.Path("/var/log/left"))
		return err == nil
	})
	w.ctl("stop", "--no-block", unit)
	labtest.Must(t, os.WriteFile(w.sd.Path("/var/log/stopped"), nil, 0o644))
	labtest.Eventually(t, "the end", func() bool { return w.property("ActiveState") == "failed" })
	w.stop()
	w.checkUnchanged("stopped while it ended", before)
}

// TestUnitTakesOver: the unit ends a process of the team that somebody else started.
func TestUnitTakesOver(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	before := w.state()
	if r := w.ok("create", teamName, "eth1", "eth2", "--no-persist"); strings.Contains(r.Out, "enabled") {
		t.Errorf("create --no-persist says %s", r.Out)
	}
	w.checkUnit("after create --no-persist", "inactive", "disabled")
	was := w.teamStatus()
	w.writeConfig(plainConfig)
	w.ctl("enable", "--now", unit)
	is := w.teamStatus()
	if was == nil || is == nil || was.PID == is.PID || is.State != "up" {
		t.Errorf("the team was %+v and is %+v", was, is)
	}
	reach(t, w.peer, box4)
	w.ok("delete", teamName)
	w.checkUnchanged("after delete", before)
}

// TestUnitWithAnInvalidConfig: the team has the configuration of its last start; without one the unit fails, once, and
// the NICs stay as they are.
func TestUnitWithAnInvalidConfig(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	before := w.state()
	w.writeConfig("team: " + teamName + "\nmembers: eth1, and eth2\n\tmode: elb\n")
	if _, err := w.sd.Systemctl("start", unit); err == nil {
		t.Error("the unit has started")
	}
	w.checkUnit("with an invalid TEAM.yaml", "failed", "disabled")
	if n := w.property("NRestarts"); n != "0" {
		t.Errorf("it was started again %s times", n)
	}
	w.checkUnchanged("with an invalid TEAM.yaml", before)

	w.writeConfig(plainConfig + "mode: active-backup\n")
	w.ctl("start", unit)
	w.ctl("stop", unit)
	w.writeConfig(plainConfig + "mode: active-backdoor\n")
	w.ctl("start", unit)
	s := w.teamStatus()
	if s == nil || s.Mode != "active-backup" || len(s.Warnings) != 1 ||
		!strings.Contains(s.Warnings[0], "active-backdoor") {
		t.Errorf("the team is %+v", s)
	}
}

// TestUnitThatCannotStart: a create that fails leaves nothing: no TEAM.yaml, and no unit that is tried again.
func TestUnitThatCannotStart(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	before := w.state()
	lacp := []string{"create", teamName, "eth1", "eth2", "--mode", "802.3ad", "--lacp-fallback", "off"}
	r := w.command(lacp...)
	if r.Code != int(api.Reverted) {
		t.Errorf("create: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	w.checkUnit("after a failed create", "inactive", "disabled")
	w.checkUnchanged("after a failed create", before)
	if w.hasFile("/etc/nicteam/" + teamName + ".yaml") {
		t.Error("create left TEAM.yaml")
	}
}

// TestUnitThatFailsEachTime: starts that fail are deaths, too, and the unit pauses.
func TestUnitThatFailsEachTime(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, map[string]string{unitFile + ".d/fail.conf": "[Service]\nExecStartPre=/bin/false\n"})
	w.writeConfig(plainConfig)
	if _, err := w.sd.Systemctl("start", unit); err == nil {
		t.Error("the unit has started")
	}
	labtest.Eventually(t, "the pause", func() bool { return strings.Contains(w.log(), "pause after too many deaths") })
	if n := w.property("NRestarts"); n != "5" {
		t.Errorf("it was started again %s times", n)
	}
	w.ctl("stop", unit)
}

// TestUnitMetrics: the metrics are served by a user that may only read.
func TestUnitMetrics(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n" +
			"nicteam:x:990:990::/:/bin/false\n",
		"/etc/group": "root:x:0:\nnogroup:x:65534:\nnicteam:x:990:\n",
	})
	w.writeConfig(plainConfig)
	w.ctl("start", unit, "nicteam-metrics")
	client := &http.Client{Transport: &http.Transport{DialContext: w.box.Dial}}
	defer client.CloseIdleConnections()
	var page string
	labtest.Eventually(t, "the metrics", func() bool {
		r, err := client.Get("http://127.0.0.1:9779/metrics")
		if err != nil {
			return false
		}
		defer func() { _ = r.Body.Close() }()
		b, err := io.ReadAll(r.Body)
		page = string(b)
		return err == nil && r.StatusCode == http.StatusOK
	})
	if !strings.Contains(page, `nicteam_up{team="team0"} 1`) {
		t.Errorf("the metrics are\n%s", page)
	}
	if uid := w.ctl("show", "-p", "UID", "--value", "nicteam-metrics"); uid != "990" {
		t.Errorf("they are served by uid %s", uid)
	}
}

// TestUnitWaitsForNICs: at boot no NIC is there. One comes and the team starts with it, then the other one.
func TestUnitWaitsForNICs(t *testing.T) {
	parallel(t)
	w := &systemdWorld{world: newWorld(t, worldOptions{Cables: true})}
	w.box.Handle()
	for _, nic := range nics(2) {
		labtest.Must(t, w.cables[nic].Close())
	}
	w.boot(map[string]string{
		"/etc/nicteam/" + teamName + ".yaml": plainConfig,
		// multi-user.target does not wait for it.
		unitFile + ".d/order.conf":        "[Unit]\nBefore=late.target\n[Install]\nWantedBy=\n",
		"/etc/systemd/system/late.target": "[Unit]\nDefaultDependencies=no\n",
	})
	w.ctl("start", "--no-block", unit)
	labtest.Eventually(t, "it waits", func() bool { return w.property("SubState") == "start" })
	labtest.Cable(t, w.box, "eth1", w.sw, "p1", lab.CableOptions{})
	labtest.Must(t, w.box.SetAddr("eth1", "10.9.0.1/24"))
	labtest.Cable(t, w.box, "eth2", w.sw, "p2", lab.CableOptions{})
	labtest.Eventually(t, "the team with both", func() bool {
		s := w.teamStatus()
		return s != nil && s.State == "up" && len(s.Members) == 2
	})
	if n := w.property("NRestarts"); n != "0" {
		t.Errorf("it was started again %s times", n)
	}
	reach(t, w.peer, box4)
}

// TestUnitLetsABootGoOn: no NIC is there and none comes. The unit tries again and again, and what waits for the
// network, a login or an SSH server, starts meanwhile.
func TestUnitLetsABootGoOn(t *testing.T) {
	parallel(t)
	w := &systemdWorld{world: newWorld(t, worldOptions{Cables: true})}
	for _, nic := range nics(2) {
		labtest.Must(t, w.cables[nic].Close())
	}
	w.boot(map[string]string{
		"/etc/nicteam/" + teamName + ".yaml": plainConfig,
		"/etc/systemd/system/multi-user.target.d/wants.conf": "[Unit]\n" +
			"Wants=" + unit + ".service server.service\n",
		"/etc/systemd/system/server.service": "[Unit]\nAfter=network.target\n" +
			"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
	})
	labtest.Eventually(t, "the server", func() bool {
		return w.ctl("show", "-p", "ActiveState", "--value", "server") == "active"
	})
	if state := w.property("ActiveState"); state != "activating" {
		t.Errorf("the unit is %s", state)
	}
}

// TestUnitMasked: systemd is told not to run it, so create starts the team without it and says what that means.
func TestUnitMasked(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	w.ctl("mask", unit)
	r := w.ok("create", teamName, "eth1", "eth2")
	if !strings.Contains(r.Err, "does not come back after a reboot: "+unit+".service is masked") {
		t.Errorf("create says %s%s", r.Out, r.Err)
	}
	reach(t, w.peer, box4)
	w.ok("delete", teamName)
}

// TestUnitChanged: of a unit that does not start the process again, create warns, and a death gives the NICs back.
func TestUnitChanged(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, map[string]string{
		unitFile + ".d/changed.conf": "[Service]\nType=simple\nRestart=no\nFileDescriptorStoreMax=0\n"})
	before := w.state()
	r := w.ok("create", teamName, "eth1", "eth2")
	if !strings.Contains(r.Err, "has been changed (Type=simple, Restart=no, FileDescriptorStoreMax=0)") {
		t.Errorf("create says %s%s", r.Out, r.Err)
	}
	reach(t, w.peer, box4)
	w.kill()
	labtest.Eventually(t, "the unit has failed", func() bool { return w.property("ActiveState") == "failed" })
	w.checkUnchanged("after a death", before)
}

// TestUnitOrderAtBoot: the team starts after firewalls and network managers, and ends before managers do.
// network-online waits for the link, which is late.
func TestUnitOrderAtBoot(t *testing.T) {
	parallel(t)
	w := &systemdWorld{world: newWorld(t, worldOptions{Cables: true})}
	for _, nic := range nics(2) {
		labtest.Must(t, w.cables[nic].Cut())
	}
	const says = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo NAME >>/var/log/order'\n" +
		"ExecStop=/bin/sh -c 'echo NAME ends >>/var/log/order'\n"
	files := map[string]string{
		"/etc/nicteam/" + teamName + ".yaml": plainConfig,
		unitFile + ".d/order.conf": "[Service]\nExecStartPost=+/bin/sh -c 'echo team >>/var/log/order'\n" +
			"ExecStopPost=+/bin/sh -c 'echo team ends >>/var/log/order'\n",
		"/etc/systemd/system/multi-user.target.d/wants.conf": "[Unit]\n",
		"/etc/systemd/system/online.service.d/carrier.conf": "[Service]\nExecStart=/bin/sh -c " +
			"'echo carrier $(cat /sys/class/net/" + teamName + "/carrier) >>/var/log/order'\n",
	}
	for name, order := range map[string]string{
		"firewall":         "Before=network-pre.target\nWants=network-pre.target",
		"systemd-networkd": "After=network-pre.target\nBefore=network.target",
		"NetworkManager":   "After=network-pre.target\nBefore=network.target",
		"networking":       "After=network-pre.target\nBefore=network.target network-online.target",
		"server":           "After=network.target",
		"online":           "After=network-online.target\nWants=network-online.target",
		unit:               "",
	} {
		files["/etc/systemd/system/multi-user.target.d/wants.conf"] += "Wants=" + name + ".service\n"
		if name != unit {
			says := strings.ReplaceAll(says, "NAME", name)
			files["/etc/systemd/system/"+name+".service"] = "[Unit]\n" + order + "\n" + says
		}
	}
	plugged := make(chan error, 1)
	time.AfterFunc(1500*time.Millisecond, func() { plugged <- w.cables["eth1"].Mend() })
	w.boot(files)
	labtest.Must(t, <-plugged)
	order := func() []string {
		b, _ := os.ReadFile(w.sd.Path("/var/log/order"))
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	labtest.Eventually(t, "all have started", func() bool { return len(order()) == 8 })
	before := func(list []string, a, b string) {
		t.Helper()
		if i, j := slices.Index(list, a), slices.Index(list, b); i < 0 || j < 0 || i > j {
			t.Errorf("%q is not before %q: %q", a, b, list)
		}
	}
	list := order()
	for _, manager := range []string{"systemd-networkd", "NetworkManager", "networking"} {
		before(list, manager, "team")
	}
	before(list, "firewall", "team")
	before(list, "team", "server")
	before(list, "team", "online")
	before(list, "online", "carrier 1")
	labtest.Must(t, w.sd.Shutdown())
	list = order()
	before(list, "team ends", "systemd-networkd ends")
	before(list, "team ends", "networking ends")
	before(list, "server ends", "team ends")
}
