// Package internal_test holds the direction of imports: always downwards, so that every
// decision of a team runs unprivileged and simulated on any machine.
package internal_test

import (
	"os/exec"
	"path"
	"strings"
	"testing"
)

// allowed says, a room, which of our packages it may import directly. A room that is not
// here may import nothing of ours.
var allowed = map[string][]string{
	"cmd/nicteam":               {"internal/frame", "internal/api", "internal/config", "internal/daemon", "internal/control", "internal/tui", "internal/metrics", "internal/export", "internal/logs", "team", "modes", "internal/nearest", "internal/units", "internal/settings", "internal/demo"},
	"internal/daemon":           {"internal/api", "internal/logs", "modes/lacp", "internal/config", "internal/control", "internal/metrics", "internal/panics", "internal/tap", "internal/nic", "internal/relay", "internal/fastpath", "internal/host", "internal/lab", "internal/frame", "team", "modes", "monitor", "internal/nearest", "internal/settings"},
	"internal/config":           {"internal/api", "team", "modes", "modes/lacp", "internal/frame", "internal/nearest", "internal/settings"},
	"internal/demo":             {"internal/frame", "internal/api", "internal/lab", "internal/control", "team"},
	"internal/settings":         {"modes", "modes/lacp", "internal/frame", "internal/nearest"},
	"internal/control":          {"internal/api", "internal/metrics", "internal/panics", "team", "modes", "monitor"},
	"internal/metrics":          {"internal/api", "team", "modes/lacp", "internal/frame"},
	"internal/tui":              {"internal/frame", "internal/api", "internal/control", "team", "monitor/chart"},
	"internal/export":           {"internal/api", "team", "monitor/chart", "internal/units"},
	"internal/host":             {"internal/api", "team", "monitor", "modes", "internal/frame", "internal/nearest", "internal/settings"},
	"internal/panics":           {"internal/api"},
	"internal/relay":            {"internal/settings", "team", "modes", "internal/panics", "internal/tap", "internal/nic", "internal/frame"},
	"internal/fastpath":         {"team", "modes", "internal/panics", "internal/relay", "internal/tap", "internal/frame", "internal/fastpath/backlog"},
	"internal/tap":              {"internal/epoll", "internal/frame"},
	"internal/nic":              {"internal/epoll", "internal/frame"},
	"team":                      {"internal/api", "modes", "modes/lacp", "monitor", "monitor/traffic", "internal/frame", "internal/panics", "internal/settings"},
	"modes":                     {"modes/lacp", "internal/frame", "internal/nearest"},
	"modes/lacp":                {"internal/frame"},
	"monitor":                   {"internal/frame", "internal/panics"},
	"monitor/traffic":           {"internal/frame"},
	"internal/frame":            {},
	"internal/api":              {"internal/frame"},
	"internal/nearest":          {},
	"internal/units":            {},
	"monitor/chart":             {"internal/units"},
	"internal/logs":             {},
	"internal/epoll":            {},
	"internal/sim":              {"internal/api", "internal/settings", "team", "modes", "modes/lacp", "monitor", "internal/frame"},
	"internal/fastpath/backlog": {"modes"},
}

// labs are rooms for tests, benchmarks and the demo; they may import what they like of the
// leaves, and nothing of the product imports them but internal/demo.
var labs = []string{"internal/lab"}

// onlyUser names the one room of a library.
var onlyUser = map[string]string{
	"github.com/spf13/cobra":      "cmd/nicteam",
	"github.com/spf13/viper":      "internal/config",
	"github.com/songgao/water":    "internal/tap",
	"github.com/mdlayher/packet":  "internal/nic",
	"github.com/safchain/ethtool": "internal/host",
	"github.com/prometheus":       "internal/metrics",
	"charm.land":                  "internal/tui",
	"golang.org/x/image":          "monitor/chart",
	"github.com/charmbracelet":    "internal/tui",
}

// pure are the rooms that do no I/O: none of these may be reached from them, however far.
var pure = []string{"modes", "modes/lacp", "team", "monitor"}
var unclean = []string{"net/http", "os/exec", "golang.org/x/sys/unix", "github.com/cilium/ebpf",
	"github.com/songgao/water", "github.com/mdlayher/packet", "github.com/vishvananda/netlink", "github.com/spf13/viper"}

// pureLeaves are the rooms of internal that do no I/O.
var pureLeaves = []string{"api", "frame", "nearest", "panics", "settings", "units"}

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
	for _, line := range list(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		fields := strings.Fields(line)
		room := strings.TrimPrefix(fields[0], module)
		lab := false
		for _, l := range labs {
			lab = lab || room == l || strings.HasPrefix(room, l+"/")
		}
		for _, imp := range fields[1:] {
			if own := strings.TrimPrefix(imp, module); own != imp && !lab && !contains(allowed[room], own) {
				t.Errorf("%s imports %s: not an arrow of the house", room, own)
			}
			for lib, user := range onlyUser {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && room != user && !lab {
					t.Errorf("%s imports %s: only %s does", room, imp, user)
				}
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
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
