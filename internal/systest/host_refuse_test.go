// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// problem is nicteam.problem/v1.
type problem struct {
	Schema string `json:"schema"`
	Code   int    `json:"code"`
	Error  string `json:"error"`
	Why    string `json:"why"`
	Fix    string `json:"fix"`
}

// checkUnchangedSnapshot fails the test unless box is as before. What the kernel shows for a moment only does not
// count.
func (w *world) checkUnchangedSnapshot(before lab.Snapshot) {
	w.t.Helper()
	var d string
	for range 3 {
		after, err := lab.TakeSnapshot(w.box)
		labtest.Must(w.t, err)
		if d = lab.Diff(before, after); d == "" {
			return
		}
	}
	w.t.Errorf("box was changed:\n%s", d)
}

// TestBadInput tries all bad input. Each is refused in three lines, in an object with --json, with its exit code, and
// changes nothing.
func TestBadInput(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 5, Cables: true})
	w.sh(`
		ip link add br0 type bridge; ip link set eth3 master br0
		ip link add link eth4 name mv0 type macvlan
		ip link add tun9 type dummy 2>/dev/null || ip tuntap add dev tun9 mode tun
		ip addr add 10.8.0.1/24 dev eth5`)
	config := func(name, text string) string {
		path := "/etc/nicteam/" + name
		labtest.Must(t, os.WriteFile(w.box.Path(path), []byte(text), 0o640))
		return path
	}
	const head = "team: t0\nmembers: [eth1, eth2]\nmode: active-backup\n"
	unknown := config("unknown.yaml", head+"mtuu: 1400\n")
	bare := config("bare.yaml", head+"up_delay: 5\n")
	two := config("two.yaml", head+"---\n"+head)
	broken := config("broken.yaml", "team: [\n")
	mac := link(t, w.box, "eth1").HardwareAddr.String()

	w.nicteam("create", "team9", "eth5", "--mode", "active-backup")
	defer func() { w.nicteam("delete", "team9") }()
	ab := []string{"--mode", "active-backup"}
	create := func(args ...string) []string { return append([]string{"create"}, args...) }
	tests := []struct {
		name  string
		args  []string
		code  int
		words []string
	}{
		{"unknown NIC", create("t0", "eth1", "eht2"), 3, []string{`"eht2"`, "eth1, eth2", "did you mean eth2?"}},
		{"unknown NIC, unlike any", create("t0", "wlp3s0", "eth1"), 3, []string{"wlp3s0", "eth1, eth2"}},
		{"loopback", append(create("t0", "eth1", "lo"), ab...), 2, []string{"loopback", "eth1"}},
		{"NIC twice", append(create("t0", "eth1", "eth1"), ab...), 2, []string{"twice"}},
		{"no NIC", create("t0"), 2, nil},
		{"NIC in a bridge", append(create("t0", "eth1", "eth3"), ab...), 5, []string{"bridge br0", "nomaster"}},
		{"bridge", append(create("t0", "eth1", "br0"), ab...), 2, []string{"bridge"}},
		{"macvlan on a NIC", append(create("t0", "eth1", "eth4"), ab...), 5, []string{"mv0"}},
		{"no Ethernet", append(create("t0", "eth1", "tun9"), ab...), 2, []string{"tun9"}},
		{"NIC of another team", append(create("t0", "eth1", "eth5"), ab...), 5,
			[]string{"team9", "nicteam remove team9 eth5"}},
		{"adapter of another team", append(create("t0", "eth1", "team9"), ab...), 5, []string{"adapter", "team9"}},
		{"name too long", append(create("sixteenletters00", "eth1"), ab...), 2, []string{"16 bytes", "15"}},
		{"bad name", append(create("a/b", "eth1"), ab...), 2, nil},
		{"name of a NIC", append(create("eth3", "eth1"), ab...), 5, []string{"eth3", "taken"}},
		{"name of its own NIC", append(create("eth1", "eth1"), ab...), 2, nil},
		{"name of a team", append(create("team9", "eth1"), ab...), 5, []string{"team9", "runs"}},
		{"bad mode", create("t0", "eth1", "eth2", "--mode", "active-bakcup"), 2,
			[]string{`did you mean "active-backup"`}},
		{"unknown link watch", create("t0", "eth1", "eth2", "--link-watch", "prob"), 2,
			[]string{`did you mean "probe"?`}},
		{"own address as target", create("t0", "eth1", "eth2", "--link-watch", "arp:10.9.0.1", "-y"), 2,
			[]string{"own address"}},
		{"LACP in another mode", create("t0", "eth1", "eth2", "--lacp-rate", "fast"), 2,
			[]string{"is not for mode elb"}},
		{"receive balancing without elb", append(create("t0", "eth1", "eth2", "--receive-balance", "on"), ab...), 2,
			[]string{"mode elb"}},
		{"gain out of range", create("t0", "eth1", "eth2", "--gain", "2s"), 2, []string{"0s to 1s"}},
		{"skew negative", create("t0", "eth1", "eth2", "--skew", "-1us"), 2, []string{"0s to 1s"}},
		{"rebalance out of range", create("t0", "eth1", "eth2", "--rebalance", "1ms"), 2, []string{"100ms to 1h"}},
		{"weight negative", create("t0", "eth1", "eth2", "--weight", "eth1=-1"), 2, []string{"weight"}},
		{"bad hash", append(create("t0", "eth1", "eth2", "--hash", "layer9"), ab...), 2, []string{"layer3+4"}},
		{"bad CIDR", append(create("t0", "eth1", "eth2", "--address", "10.0.0.1/33"), ab...), 2,
			[]string{"10.0.0.1/33"}},
		{"address without length", append(create("t0", "eth1", "eth2", "--address", "10.0.0.1"), ab...), 2, nil},
		{"address of the host", append(create("t0", "eth1", "eth2", "--address", "10.8.0.1/24"), ab...), 5,
			[]string{"team9"}},
		{"gateway elsewhere", append(create("t0", "eth1", "eth2", "--address", "10.0.0.1/24", "--gateway", "10.1.0.1"),
			ab...), 2, []string{"subnet"}},
		{"gateway is itself", append(create("t0", "eth1", "eth2", "--address", "10.0.0.1/24", "--gateway", "10.0.0.1"),
			ab...), 2, nil},
		{"gateway without address", append(create("t0", "eth1", "eth2", "--address", "none", "--gateway", "10.0.0.1"),
			ab...), 2, nil},
		{"MTU too small", append(create("t0", "eth1", "eth2", "--mtu", "10"), ab...), 2, nil},
		{"MTU too small for IPv6", append(create("t0", "eth1", "eth2", "--mtu", "1000"), ab...), 2, []string{"1280"}},
		{"MTU too large", append(create("t0", "eth1", "eth2", "--mtu", "70000"), ab...), 2, nil},
		{"MTU no number", append(create("t0", "eth1", "eth2", "--mtu", "big"), ab...), 2, nil},
		{"weight zero", append(create("t0", "eth1", "eth2", "--weight", "eth1=0"), ab...), 2, []string{"weight"}},
		{"weight of a stranger", append(create("t0", "eth1", "eth2", "--weight", "eth9=1"), ab...), 3, nil},
		{"primary is a stranger", append(create("t0", "eth1", "eth2", "--primary", "eth9"), ab...), 3, nil},
		{"bad MAC", append(create("t0", "eth1", "eth2", "--mac", "01:00:00:00:00:01"), ab...), 2, nil},
		{"bare duration", append(create("t0", "eth1", "eth2", "--up-delay", "5"), ab...), 2, []string{"5s"}},
		{"unknown key", create("--config", unknown), 2, []string{unknown + ":4", "mtuu", `"mtu"`}},
		{"bare duration in a file", create("--config", bare), 2, []string{bare + ":4", "up_delay"}},
		{"two documents", create("--config", two), 2, []string{two + ":4", "document"}},
		{"no YAML", create("--config", broken), 2, []string{broken}},
		{"no file", create("--config", "/etc/nicteam/none.yaml"), 2, []string{"none.yaml"}},
		{"unknown flag", create("t0", "eth1", "--adress", "none"), 2, []string{"--address"}},
		{"unknown verb", []string{"crate", "t0", "eth1"}, 2, []string{`"create"`}},
		{"no such team", []string{"status", "t0"}, 3, []string{"t0"}},
		{"delete no such team", []string{"delete", "t0"}, 3, nil},
		{"add to no such team", []string{"add", "t0", "eth1"}, 3, nil},
		{"restore no such team", []string{"restore", "t0"}, 3, nil},
		{"run no such team", []string{"run", "t0"}, 2, []string{"t0.yaml"}},
		{"add an unknown NIC", []string{"add", "team9", "eht1"}, 3, []string{"did you mean eth1?"}},
		{"add a member", []string{"add", "team9", "eth5"}, 5, []string{"already a member"}},
		{"add a NIC in a bridge", []string{"add", "team9", "eth3"}, 5, []string{"br0"}},
		{"add the loopback", []string{"add", "team9", "lo"}, 2, nil},
		{"add one of two that is wrong", []string{"add", "team9", "eth1", "eth3"}, 5, []string{"br0"}},
		{"remove a stranger", []string{"remove", "team9", "eth1"}, 3, []string{"eth5"}},
		{"remove the last", []string{"remove", "team9", "eth5"}, 5, []string{"--force", "nicteam delete team9"}},
		{"set an unknown key", []string{"set", "team9", "mtuu=1400"}, 2, []string{"mtu"}},
		{"set a bad mode", []string{"set", "team9", "mode=fast"}, 2, nil},
		{"set a bad MTU", []string{"set", "team9", "mtu=12"}, 2, nil},
		{"set one good and one bad", []string{"set", "team9", "hash=layer2", "mode=fast"}, 2, nil},
		{"set no pair", []string{"set", "team9", "mode"}, 2, []string{"KEY=VALUE"}},
		{"explain no flow", []string{"explain", "team9", "what"}, 2, []string{"tcp 10.0.0.1:5000"}},
		{"restore while it runs", []string{"restore", "team9"}, 5, []string{"runs"}},
	}
	before := w.state().all
	settings := w.nicteam("status", "team9", "--json")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inner := *w
			inner.t = t
			r := inner.try(tt.args...)
			checkRefused(t, r, tt.code, tt.words...)
			if r.Out != "" {
				t.Errorf("it says on stdout:\n%s", r.Out)
			}
			r = inner.try(append(append([]string{}, tt.args...), "--json")...)
			var p problem
			d := json.NewDecoder(strings.NewReader(r.Err))
			if err := d.Decode(&p); err != nil || d.More() {
				t.Errorf("--json: stderr is no object (%v):\n%s", err, r.Err)
			}
			if p.Schema != "nicteam.problem/v1" || p.Code != tt.code || r.Code != tt.code || p.Error == "" ||
				p.Why == "" || p.Fix == "" || r.Out != "" {
				t.Errorf("--json: exit %d, %+v, stdout %q", r.Code, p, r.Out)
			}
			inner.checkUnchangedSnapshot(before)
		})
	}
	var was, is api.Status
	labtest.Must(t, json.Unmarshal([]byte(settings), &was))
	labtest.Must(t, json.Unmarshal([]byte(w.nicteam("status", "team9", "--json")), &is))
	if was.Mode != is.Mode || was.Settings.Hash != is.Settings.Hash || len(was.Members) != len(is.Members) ||
		mac != link(t, w.box, "eth1").HardwareAddr.String() {
		t.Errorf("team9 was changed: %+v, %+v", was, is)
	}
}

// TestBadPlace runs the binary where the machine lacks something.
func TestBadPlace(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "unshare", "util-linux")
	labtest.Tool(t, "setpriv", "util-linux")
	w := newWorld(t, worldOptions{Cables: true})
	w.configureHost()
	before := w.state().all
	create := program(t) + " create team0 eth1 eth2 --mode active-backup"
	tests := []struct {
		name, script string
		code         int
		words        []string
	}{
		{"no /dev/net/tun", "exec unshare -m sh -c 'mount -t tmpfs none /dev/net; exec " + create + "'", 1,
			[]string{"/dev/net/tun", "modprobe tun"}},
		{"no CAP_NET_ADMIN", "exec setpriv --bounding-set -net_admin " + create, 4, []string{"CAP_NET_ADMIN", "root"}},
		{"no CAP_NET_RAW", "exec setpriv --bounding-set -net_raw " + create, 4, []string{"CAP_NET_RAW", "root"}},
		{"no CAP_PERFMON", "exec setpriv --bounding-set -perfmon,-sys_admin " + create + " --datapath fastpath", 4,
			[]string{"CAP_PERFMON", "datapath=auto"}},
		{"user namespace", "exec unshare -Ur " + create, 4, []string{"user namespace", "root"}},
		{"nobody", "exec setpriv --reuid 65534 --regid 65534 --clear-groups " + create, 4, []string{"root"}},
		{"full disk", "exec unshare -m sh -c 'mount -t tmpfs -o size=64k,mode=755 none /var/lib/nicteam; " +
			"head -c 65536 /dev/zero >/var/lib/nicteam/full; " +
			"exec " + create + "'", 1, []string{"/var/lib/nicteam", "no space"}},
		{"no room for the journal", "exec unshare -m sh -c 'mount -t tmpfs -o size=128k none /var/lib/nicteam; exec " +
			create + "'", 1, []string{"journal", "no space", "nothing was changed"}},
		{"read-only disk", "exec unshare -m sh -c 'mount -t tmpfs -o ro none /var/lib/nicteam; exec " + create + "'",
			1, []string{"/var/lib/nicteam", "read-only"}},
		{"full run directory", "exec unshare -m sh -c 'mount -t tmpfs -o size=4k,mode=755 none /run/nicteam; " +
			"head -c 4096 /dev/zero >/run/nicteam/full; exec " + create + "'", 1, []string{"/run/nicteam", "no space"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inner := *w
			inner.t = t
			cmd := w.box.Command("sh", "-c", tt.script)
			var out, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &stderr
			_ = cmd.Run()
			checkRefused(t, result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}, tt.code, tt.words...)
			inner.checkUnchangedSnapshot(before)
			inner.checkNoFiles("refused")
			if pids := inner.processes(" run team0"); len(pids) > 0 {
				t.Errorf("a process is left: %v", pids)
			}
		})
	}
}

// TestSilentTeam asks a team whose process is stopped (SIGSTOP), and nobody replaces it.
func TestSilentTeam(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	w.killKeeper()
	pid := w.teamProcess()
	labtest.Must(t, unix.Kill(pid, unix.SIGSTOP))
	begin := time.Now()
	checkRefused(t, w.try("status", teamName), 8, "answer")
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	checkRefused(t, w.try("create", teamName, "eth3", "--mode", "active-backup"), 5, "runs")
	checkRefused(t, w.try("restore", teamName), 5, "runs")
	// Its NICs are still its own.
	checkRefused(t, w.try("create", "team1", "eth2", "eth3", "--mode", "active-backup"), 5, teamName)
	if out := w.nicteam("list"); !strings.Contains(out, teamName) {
		t.Errorf("the list leaves it out:\n%s", out)
	}
	labtest.Must(t, unix.Kill(pid, unix.SIGCONT))
	w.await("the team answers", func(s *api.Status) bool { return s.State == "up" })
	w.nicteam("delete", teamName)
}

// TestCheck: --check exits with 7 while a team is degraded or down.
func TestCheck(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	if r := w.try("status", teamName, "--check"); r.Code != 0 {
		t.Errorf("up: exit %d: %s", r.Code, r.Err)
	}
	labtest.Must(t, w.cables["eth2"].Cut())
	w.awaitMember("eth2", "down")
	checkRefused(t, w.try("status", teamName, "--check"), 7, "degraded", "eth2")
	checkRefused(t, w.try("status", "--check", "-q"), 7)
	labtest.Must(t, w.cables["eth1"].Cut())
	w.awaitMember("eth1", "down")
	checkRefused(t, w.try("status", teamName, "--check"), 7, "down")
	labtest.Must(t, w.cables["eth1"].Mend())
	labtest.Must(t, w.cables["eth2"].Mend())
	w.await("up again", func(s *api.Status) bool { return s.State == "up" })
	if r := w.try("status", "--check", "-q"); r.Code != 0 || r.Out != "" {
		t.Errorf("up again: exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	w.nicteam("delete", teamName)
}

// TestDryRun: a dry run prints the plan and changes nothing.
func TestDryRun(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	for _, test := range []struct {
		options []string
		moves   string
	}{
		{[]string{"--mode", "active-backup"}, "address eth1 team0 10.9.0.1/24"},
		{[]string{"--mode", "xor", "--address", "none"}, "address eth1 - 10.9.0.1/24"},
		{[]string{"--mode", "xor", "--address", "10.6.0.1/24", "--gateway", "10.6.0.2"},
			"address - team0 10.6.0.1/24"},
	} {
		create := append([]string{"create", teamName, "eth1", "eth2", "--dry-run"}, test.options...)
		out := w.nicteam(create...)
		for _, want := range []string{"nothing is changed", "mode " + test.options[1], "eth2 up", test.moves} {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
				t.Errorf("no %q in:\n%s", want, out)
			}
		}
		if strings.Contains(out, "ip address ") || !strings.Contains(w.nicteam(append(create, "-v")...),
			"ip link set dev team0 ") {
			t.Errorf("commands of ip are for -v:\n%s", out)
		}
		var doc struct {
			Schema string    `json:"schema"`
			DryRun bool      `json:"dry_run"`
			Steps  []string  `json:"steps"`
			Plan   *api.Plan `json:"plan"`
		}
		labtest.Must(t, json.Unmarshal([]byte(w.nicteam(append(create, "--json")...)), &doc))
		if doc.Schema != "nicteam.created/v1" || !doc.DryRun || len(doc.Steps) < 3 || doc.Plan == nil ||
			len(doc.Plan.NICs) != 2 {
			t.Errorf("document %+v", doc)
		}
	}
	checkRefused(t, w.try("create", teamName, "eth1", "eth9", "--dry-run", "--mode", "xor"), 3)
	w.checkUnchangedSnapshot(before.all)
	w.checkNoFiles("dry run")
}

// TestDocuments reads every document of --json of a running team.
func TestDocuments(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	read := func(schema string, args ...string) map[string]any {
		t.Helper()
		out := w.nicteam(append(args, "--json")...)
		var last map[string]any
		for line := range strings.Lines(out) {
			last = nil
			if err := json.Unmarshal([]byte(line), &last); err != nil || last["schema"] != schema {
				t.Errorf("%v: schema %v, want %s (%v):\n%s", args, last["schema"], schema, err, line)
			}
		}
		if last == nil {
			t.Errorf("%v: no document", args)
		}
		return last
	}
	if d := read("nicteam.created/v1", "create", teamName, "eth1", "eth2", "--mode",
		"active-backup"); d["status"] == nil {
		t.Errorf("created: %v", d)
	}
	read("nicteam.status/v1", "status", teamName)
	read("nicteam.status/v1", "status")
	read("nicteam.list/v1", "list")
	read("nicteam.event/v1", "events", teamName)
	read("nicteam.explain/v1", "explain", teamName, "tcp 10.9.0.1:5000 10.9.0.2:80")
	read("nicteam.rates/v1", "watch", teamName, "--count", "2", "--interval", "100ms")
	if d := read("nicteam.peers/v1", "peers", teamName); !strings.Contains(d["reason"].(string), "active-backup") ||
		len(d["peers"].([]any)) != 0 {
		t.Errorf("peers of a team that steers none: %v", d)
	}
	if d := read("nicteam.status/v1", "status", teamName); d["flow_moves"] != nil {
		t.Errorf("flow_moves in active-backup: %v", d)
	}
	w.nicteam("set", teamName, "mode=elb")
	if d := read("nicteam.peers/v1", "peers", teamName); d["reason"] != "" {
		t.Errorf("peers: %v", d)
	}
	d := read("nicteam.status/v1", "status", teamName)
	if _, ok := d["flow_moves"].(map[string]any)["forced"]; !ok {
		t.Errorf("no flow_moves in elb: %v", d)
	}
	for _, m := range d["members"].([]any) {
		// veth says 10 Gbit/s.
		if m := m.(map[string]any); m["rate_source"] != "link" || m["rate_bps"] != m["speed_bps"] {
			t.Errorf("member in elb: %v", m)
		}
	}
	w.nicteam("set", teamName, "mode=balance-tlb")
	if d := read("nicteam.status/v1", "status", teamName); d["mode"] != "elb" ||
		d["settings"].(map[string]any)["receive_balance"] != false {
		t.Errorf("balance-tlb: %v", d)
	}
	if d := read("nicteam.peers/v1", "peers", teamName); !strings.Contains(d["reason"].(string),
		"receive_balance is off") {
		t.Errorf("peers of balance-tlb: %v", d)
	}
	for _, change := range [][]string{{"add", teamName, "eth3"}, {"set", teamName, "mode=xor"},
		{"remove", teamName, "eth3"}, {"delete", teamName}} {
		d := read("nicteam.result/v1", change...)
		if steps, ok := d["steps"].([]any); d["team"] != teamName || !ok || change[0] != "delete" && len(steps) == 0 {
			t.Errorf("%v: %v", change, d)
		}
	}
	read("nicteam.result/v1", "restore")
	read("nicteam.list/v1", "list")
}
