// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/settings"
)

// TestImport: what import makes of each format is what create takes.
func TestImport(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	testdata, err := filepath.Abs("../importer/testdata")
	labtest.Must(t, err)
	dir := t.TempDir()
	for i, source := range [][]string{{"teamd-lacp/team0.conf"}, {"netplan/50-bond.yaml"},
		{"netplan-dir", "--team", "bond0"}, {"interfaces/interfaces"}, {"ifcfg/ifcfg-bond0"}, {"keyfile"}} {
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		from := filepath.Join(testdata, source[0])
		out := w.nicteam(append([]string{"import", from, "-o", file, "--json"}, source[1:]...)...)
		var doc api.Imported
		labtest.Must(t, json.Unmarshal([]byte(out), &doc))
		if doc.Schema != api.ImportSchema || doc.File != file || doc.YAML == "" || doc.Team == "" ||
			len(doc.Notes) == 0 {
			t.Errorf("%s: %s", source[0], out)
		}
		w.nicteam("create", "--config", file, "--dry-run")
		checkRefused(t, w.try("import", from, "-o", file, "--team", doc.Team), int(api.Conflict), "file exists")
	}
	checkRefused(t, w.try("import", filepath.Join(testdata, "netplan-dir")), int(api.Usage), "bond0, bond1")
	checkRefused(t, w.try("import", "eth1"), int(api.NotFound), "eth1 is no bond")
}

// TestImportOfARunningBond: of a bond of the kernel what it does, in each mode, and a warning only for what somebody
// has changed and has no equal.
func TestImportOfARunningBond(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	if out, err := w.box.Command("ip", "link", "add", "bond0", "type", "bond").CombinedOutput(); err != nil {
		t.Skipf("no bond of the kernel: %s", out)
	}
	check := func(options string, warnings int, want ...string) {
		t.Helper()
		w.sh("ip link del bond0; ip link add bond0 type bond " + options +
			"; for n in eth2 eth3; do ip link set $n down; ip link set $n master bond0; done; ip link set bond0 up; " +
			"ip addr add 192.0.2.10/24 dev bond0; ip route add default via 192.0.2.1 dev bond0 metric 9")
		r := w.try("import", "bond0")
		want = append(want, "team: bond0", "  - eth2", "  - eth3", "  - 192.0.2.10/24", "gateway: 192.0.2.1")
		for _, line := range want {
			if r.Code != 0 || !strings.Contains(r.Out, line+"\n") {
				t.Errorf("%s: exit %d, no %q in\n%s%s", options, r.Code, line, r.Out, r.Err)
			}
		}
		if n := strings.Count(r.Err, "\n"); n != warnings {
			t.Errorf("%s: %d warnings, want %d:\n%s", options, n, warnings, r.Err)
		}
	}
	for mode, want := range []string{"round-robin", "active-backup", "xor\nhash: layer2", "broadcast",
		"802.3ad\nhash: layer2", "elb\nreceive_balance: false", "elb"} {
		check(fmt.Sprintf("mode %d", mode), 0, "mode: "+want)
	}
	check("mode active-backup miimon 100 updelay 200 fail_over_mac active", 1, "mode: active-backup", "up_delay: 200ms",
		"  - carrier")
	check("mode active-backup arp_interval 250 arp_ip_target 192.0.2.1,192.0.2.2 arp_validate all", 0,
		"  - arp:192.0.2.1\n  - arp:192.0.2.2", "watch_policy: any", "probe_interval: 250ms", "probe_misses: 2")
	check("mode 802.3ad lacp_rate fast min_links 2 xmit_hash_policy layer3+4 ad_select count", 0, "lacp_rate: fast",
		"min_members: 2", "ad_select: count")
}

// TestFilesComeBack: whatever live settings a file has, TEAM.yaml says the same after apply, and a second apply finds
// nothing to do.
func TestFilesComeBack(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	w.create([]string{"eth1", "eth2"})
	file := w.box.Path("/etc/nicteam/" + teamName + ".yaml")
	read := func() settings.Config {
		t.Helper()
		text, err := config.ReadText(file)
		labtest.Must(t, err)
		c, err := config.Parse(file, text)
		labtest.Must(t, err)
		return c
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	desired := w.box.Path("/etc/nicteam/desired.yaml")
	for range 20 {
		want := anySettings(rng, read())
		text, err := config.Brief(want)
		labtest.Must(t, err)
		labtest.Must(t, os.WriteFile(desired, []byte(text), 0o600))
		var a api.Applied
		for i := range 2 {
			r := w.try("apply", "-f", "/etc/nicteam/desired.yaml", "--json", "--force")
			if r.Code != 0 {
				t.Fatalf("seed %d: exit %d, %s\n%s", seed, r.Code, r.Err, text)
			}
			labtest.Must(t, json.Unmarshal([]byte(r.Out), &a))
			if i == 1 && a.Changed {
				t.Errorf("seed %d: the second apply changes something: %s\n%s", seed, r.Out, text)
			}
		}
		is := read()
		if d := config.Differ(&is, &want); !d.Empty() {
			t.Errorf("seed %d: TEAM.yaml differs in %+v from\n%s", seed, d, text)
		}
	}
}

// anySettings changes live settings at random: those that send nothing, and leave the data path as it is.
func anySettings(rng *rand.Rand, c settings.Config) settings.Config {
	skip := map[string]bool{"link_watch": true, "datapath": true, "min_members": true, "mtu": true}
	values := map[settings.Type][]string{settings.OnOff: {"on", "off"},
		settings.Duration: {"100ms", "500ms", "1s", "0s"}, settings.Whole: {"1", "2", "3", "7"},
		settings.NIC: {"eth1", "eth2", "none"}}
	for i := range settings.Table {
		s := &settings.Table[i]
		list := append(values[s.Type], s.Words...)
		if !s.Live || s.NoFile || s.PerNIC || skip[s.Key] || len(list) == 0 || rng.IntN(3) > 0 {
			continue
		}
		if next, err := config.Set(c, s.Key, list[rng.IntN(len(list))]); err == nil {
			c = next
		}
	}
	return c
}
