// SPDX-License-Identifier: MIT

// Package internal_test holds the direction of imports: always downwards, so that every
// decision of a team runs unprivileged and simulated on any machine.
package internal_test

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// allowed says, a room, which of our packages it may import directly. A room that is not
// here may import nothing of ours.
var allowed = map[string][]string{
	"cmd/nicteam": {"internal/frame", "internal/api", "internal/config", "internal/launch",
		"internal/daemon", "internal/control", "internal/tui", "internal/metrics", "internal/export", "internal/logs",
		"internal/nearest", "internal/units", "internal/settings", "internal/demo", "internal/atomicfile",
		"internal/supervisor", "internal/keeper", "internal/sandbox", "internal/ssh", "internal/pending",
		"internal/importer", "internal/manual", "monitor"},
	"internal/importer": {"internal/api", "internal/settings", "internal/rtnl", "modes", "monitor"},
	"internal/daemon": {"internal/api", "internal/atomicfile", "internal/config", "internal/control", "internal/dhcp",
		"internal/fastpath", "internal/frame", "internal/host", "internal/host/journal", "internal/launch",
		"internal/logs", "internal/metrics", "internal/nearest", "internal/panics", "internal/relay",
		"internal/settings", "internal/tap", "modes", "modes/lacp", "modes/spread", "team", "internal/tchook",
		"modes/steer",
		"internal/managers", "internal/supervisor", "internal/descriptors", "internal/sandbox", "internal/selftest",
		"internal/tick", "internal/boot", "internal/pending", "monitor"},
	"internal/launch": {"internal/api", "internal/atomicfile", "internal/config", "internal/control",
		"internal/fastpath", "internal/host", "internal/host/journal", "internal/logs", "internal/settings",
		"internal/tchook", "internal/supervisor", "internal/managers", "internal/descriptors",
		"internal/tap", "internal/tick", "internal/boot", "internal/pending", "internal/ssh"},
	"internal/pending": {"internal/api", "internal/atomicfile", "internal/boot"},
	"internal/config":  {"internal/api", "internal/atomicfile", "internal/nearest", "internal/settings"},
	"internal/demo":    {"internal/frame", "internal/api", "internal/lab", "internal/lab/ha", "internal/control"},
	"internal/settings": {"internal/ifname", "modes", "modes/lacp", "modes/spread", "internal/nearest",
		"internal/frame", "monitor"},
	"internal/control": {"internal/api", "internal/metrics", "internal/panics", "internal/tick", "internal/ssh"},
	"internal/ssh":     {},
	"internal/metrics": {"internal/api", "internal/frame"},
	"internal/tui":     {"internal/frame", "internal/api", "internal/control", "internal/units", "monitor/chart"},
	"internal/export":  {"internal/api", "monitor/chart", "internal/units"},
	"internal/host": {"internal/api", "team", "monitor", "modes/spread", "internal/rtnl",
		"internal/nfnl", "internal/tchook", "internal/host/journal", "internal/host/masquerade", "internal/frame",
		"internal/nearest", "internal/settings", "internal/atomicfile", "internal/descriptors", "internal/managers"},
	"internal/host/journal": {"internal/rtnl", "internal/tchook", "internal/frame", "internal/atomicfile",
		"internal/boot", "internal/thread"},
	"internal/host/masquerade": {"internal/rtnl", "internal/nfnl"},
	"internal/tchook":          {"internal/rtnl", "internal/nfnl", "internal/descriptors"},
	"internal/nfnl":            {"internal/rtnl"},
	"internal/rtnl":            {"internal/frame", "internal/boot"},
	"internal/atomicfile":      {},
	"internal/selftest":        {"internal/host", "internal/ssh"},
	"internal/managers":        {"internal/atomicfile", "internal/rtnl"},
	"internal/limit":           {},
	"internal/boot":            {},
	"internal/thread":          {},
	"internal/tick":            {},
	"internal/dhcp":            {"internal/frame", "internal/boot"},
	"internal/supervisor":      {"internal/descriptors"},
	"internal/keeper": {"internal/api", "internal/atomicfile", "internal/launch", "internal/logs",
		"internal/supervisor"},
	"internal/panics": {"internal/api"},
	"internal/relay": {"internal/limit", "internal/settings", "team", "modes/spread", "internal/panics",
		"internal/tap", "internal/nic", "internal/frame", "internal/descriptors"},
	"internal/fastpath": {"team", "modes/spread", "internal/panics", "internal/relay", "internal/tap",
		"internal/thread", "internal/frame", "internal/fastpath/backlog", "internal/descriptors", "internal/tick"},
	"internal/tap":         {"internal/ifname", "internal/epoll", "internal/frame", "internal/descriptors"},
	"internal/nic":         {"internal/epoll", "internal/frame", "internal/descriptors"},
	"internal/descriptors": {},
	"team": {"internal/api", "modes", "modes/spread", "modes/lacp", "monitor", "monitor/traffic",
		"internal/frame", "internal/panics", "internal/settings", "modes/steer", "internal/tick"},
	"modes":                    {"modes/lacp", "modes/spread", "internal/frame", "modes/steer"},
	"modes/lacp":               {"internal/limit", "internal/frame"},
	"modes/steer":              {"internal/limit", "internal/frame", "modes/spread"},
	"modes/spread":             {"internal/frame", "internal/nearest"},
	"internal/frame/frametest": {"internal/frame"},
	"monitor":                  {"internal/panics", "internal/frame", "internal/tick"},
	"monitor/traffic":          {"internal/frame"},
	"internal/frame":           {},
	"internal/api":             {"internal/frame"},
	"internal/nearest":         {},
	"internal/manual":          {},
	"internal/units":           {},
	"monitor/chart":            {"internal/units"},
	"internal/logs":            {"internal/limit"},
	"internal/epoll":           {},
	"internal/sim": {"internal/api", "internal/settings", "team", "modes", "modes/spread", "modes/lacp",
		"monitor", "internal/frame", "internal/limit", "modes/steer"},
	"internal/fastpath/backlog": {"modes/spread"},
}

// labs are rooms for tests, benchmarks and the demo; they may import what they like of the
// leaves, and nothing of the product imports them but internal/demo.
var labs = []string{"internal/lab", "internal/descriptors/descriptorstest"}

// onlyUser names the one room of a library, or the few.
var onlyUser = map[string]string{
	"github.com/spf13/cobra":       "cmd/nicteam",
	"github.com/spf13/viper":       "internal/config",
	"github.com/songgao/water":     "internal/tap",
	"github.com/mdlayher/packet":   "internal/nic internal/dhcp",
	"github.com/insomniacslk/dhcp": "internal/dhcp",
	"github.com/safchain/ethtool":  "internal/host",
	"github.com/prometheus":        "internal/metrics",
	"charm.land":                   "internal/tui",
	"golang.org/x/image":           "monitor/chart",
	"github.com/charmbracelet":     "internal/tui",
	"github.com/godbus/dbus":       "internal/managers",
}

// pure are the rooms that do no I/O: none of these may be reached from them, however far.
var pure = []string{"modes", "modes/spread", "modes/steer", "modes/steer", "modes/lacp", "team", "monitor"}
var unclean = []string{"net/http", "os/exec", "golang.org/x/sys/unix", "github.com/cilium/ebpf",
	"github.com/songgao/water", "github.com/mdlayher/packet", "github.com/vishvananda/netlink",
	"github.com/spf13/viper"}

// pureLeaves are the rooms of internal that do no I/O.
var pureLeaves = []string{"ifname", "api", "frame", "limit", "manual", "nearest", "panics", "settings", "tick", "units"}

func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImportsPointDownwards(t *testing.T) {
	const module = "nicteam/"
	used := map[string]bool{} // "room import"
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		room := strings.TrimPrefix(fields[0], module)
		lab := false
		for _, l := range labs {
			lab = lab || room == l || strings.HasPrefix(room, l+"/")
		}
		for _, imp := range fields[1:] {
			own := strings.TrimPrefix(imp, module)
			used[room+" "+own] = true
			if own != imp && !lab && !contains(allowed[room], own) {
				t.Errorf("%s imports %s: not an arrow of the house", room, own)
			}
			for lib, user := range onlyUser {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !contains(strings.Fields(user), room) && !lab {
					t.Errorf("%s imports %s: only %s does", room, imp, user)
				}
			}
		}
	}
	for room, imports := range allowed {
		for _, imp := range imports {
			if !used[room+" "+imp] {
				t.Errorf("%s does not import %s: an arrow of the house without a use", room, imp)
			}
		}
	}
}

func TestDecisionsArePure(t *testing.T) {
	for _, room := range pure {
		for _, dep := range list(t, "-deps", "./"+room) {
			for _, u := range unclean {
				if dep == u || strings.HasPrefix(dep, u+"/") {
					t.Errorf("%s reaches %s", room, dep)
				}
			}
			if strings.HasPrefix(dep, "nicteam/internal/") && !contains(pureLeaves, path.Base(dep)) {
				t.Errorf("%s reaches %s", room, dep)
			}
		}
	}
}

func contains(list []string, s string) bool {
	return slices.Contains(list, s)
}
