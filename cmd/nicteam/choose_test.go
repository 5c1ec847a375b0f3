// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/launch"
)

// TestCreateListOnTerminals drives the list of nicteam create on real screens, in a network namespace with a pair of
// NICs. Left with q or Ctrl-C it has changed nothing, and the terminal is as it was.
func TestCreateListOnTerminals(t *testing.T) {
	if os.Geteuid() != 0 || exec.Command("unshare", "-n", "true").Run() != nil {
		t.Skip("needs root and the right to make network namespaces")
	}
	dir := t.TempDir()
	// The test's shell runs «env nicteam args».
	namespace := `unshare -n sh -c 'ip link add eth1 type veth peer name eth2; ip link add br0 type bridge; ` +
		`"$0" "$@"; code=$?; ip -o link | wc -l; exit $code'`
	dirs := fmt.Sprintf("--run-dir=%[1]s/run --state-dir=%[1]s/state --config-dir=%[1]s/config", dir)
	for _, c := range []struct {
		name          string
		width, height int
		env           string
		opens         string
		keys, quit    string
		shows         string
	}{
		{"usual", 80, 24, "", `(?s)Create team0: choose its NICs +0 chosen.*> \[ \] eth2 .*r read again   q leave`,
			"Space", "q", `\[x\] eth2`},
		{"small", 40, 10, "", `(?s)choose its NICs.*> \[ \] eth2 `, "End", "Escape",
			`>  -  br0 +it is a bridge itself`},
		{"line", 30, 3, "", `(?s)> \[ \] eth2 .*leave`, "Enter", "C-c", `space chooses a NIC first`},
		{"no UTF-8, no colour", 80, 24, "LC_ALL=C NO_COLOR=1", `> \[ \] eth2 `, "/", "C-c", `filter: _`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := onScreen(t, c.width, c.height, c.env+" "+namespace, "create", dirs)
			s.shows(c.opens)
			s.keys(c.keys)
			s.shows(c.shows)
			s.keys(c.quit)
			text, _ := s.shows(fmt.Sprintf(`(?s)left with %d\s+as before`, api.Interrupted))
			if c.height > 5 && !regexp.MustCompile(`(?s)first\s+nothing is changed\s+4\s`).MatchString(text) {
				t.Errorf("what follows the list: %s", text) // 4 links, as before
			}
		})
	}
	if made, _ := os.ReadDir(dir); len(made) != 0 {
		t.Errorf("directories were made: %v", made)
	}
}

// TestCreateWithoutTerminal: nothing can be chosen where no keys come from, nor where nothing may be written.
func TestCreateWithoutTerminal(t *testing.T) {
	for _, args := range []string{"create", "create team0", "create team0 --json", "create -q"} {
		var out, errw strings.Builder
		if code := execute(strings.Fields(args), &out, &errw, []string{"TERM=xterm"}); code != int(api.Usage) ||
			!strings.Contains(errw.String(), "create needs a team name and at least one NIC") {
			t.Errorf("%s: %d, %s%s", args, code, out.String(), errw.String())
		}
	}
}

// TestGivenFlags: the command that is shown after a choice does the same when it is typed.
func TestGivenFlags(t *testing.T) {
	a := &app{}
	c := a.createCmd()
	want := []string{"--mode=xor", "--weight=eth1=2", "--no-persist", "--lacp-system='it'\\''s $HOME'"}
	typed := []string{"--mode", "xor", "--no-persist", "--lacp-system", "it's $HOME", "--weight", "eth1=2"}
	if err := c.ParseFlags(typed); err != nil {
		t.Fatal(err)
	}
	got := givenFlags(c)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChoices(t *testing.T) {
	if choices(nil) != nil {
		t.Error("no list became one")
	}
	got := choices([]launch.Candidate{{Session: true, Manager: "dhcpcd"}, {Problem: &api.Problem{What: "NIC b",
		Why: "it is a bridge", Fix: "choose a"}}, {Problem: &api.Problem{What: "unknown"}}})
	if !got[0].SSH || got[0].Manager != "dhcpcd" || got[0].Why != "" || got[1].Why != "it is a bridge" ||
		got[1].Fix != "choose a" || got[2].Why != "unknown" {
		t.Errorf("%+v", got)
	}
}
