// SPDX-License-Identifier: MIT

package systest

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// TestOrdinaryUser: every verb tells a user without the permission to look so: never "no team", never exit 0.
func TestOrdinaryUser(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "setpriv", "util-linux")
	w := newWorld(t, worldOptions{Cables: true})
	// A copy that every user may run.
	dir := t.TempDir()
	labtest.Must(t, os.Chmod(filepath.Dir(dir), 0o755))
	copied := filepath.Join(dir, "nicteam")
	from, err := os.Open(program(t))
	labtest.Must(t, err)
	defer from.Close()
	to, err := os.OpenFile(copied, os.O_WRONLY|os.O_CREATE, 0o755)
	labtest.Must(t, err)
	_, err = io.Copy(to, from)
	labtest.Must(t, err)
	labtest.Must(t, to.Close())

	w.create([]string{"eth1"}, "--mode", "active-backup")
	w.sh("chmod 750 /run/nicteam /var/lib/nicteam /etc/nicteam")
	ask := func(verb string) result {
		cmd := w.box.Command("setpriv", append([]string{"--reuid", "65534", "--regid", "65534", "--clear-groups",
			copied}, strings.Fields(verb)...)...)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		return result{Out: out.String(), Err: errs.String(), Code: cmd.ProcessState.ExitCode()}
	}
	verbs := []string{"", "status", "status team0", "status --check", "list", "metrics",
		"metrics --listen 127.0.0.1:0", "events", "events team0 --follow",
		"watch", "watch team0 --once", "peers team0", "explain team0 tcp", "export team0 --format csv -o -",
		"set team0 hash=layer2",
		"remove team0 eth1 --force", "delete team0", "restore", "restore team0", "create team0 eth2",
		"create team1 eth2 --dry-run"}
	for _, may := range []string{"nothing", "see the directories"} {
		if may != "nothing" {
			w.sh("chmod 755 /run/nicteam /var/lib/nicteam /etc/nicteam")
		}
		for _, verb := range verbs {
			r := ask(verb)
			checkRefused(t, r, 4)
			if t.Failed() {
				t.Fatalf("nicteam %s, who may %s: %s%s", verb, may, r.Out, r.Err)
			}
		}
		// What the kernel tells everybody is completed, and nothing is said of the rest.
		r := ask("__complete create team1 eth")
		if r.Code != 0 || !strings.Contains(r.Out, "eth2\t") || strings.Contains(r.Err, "permission") {
			t.Errorf("completion for a user who may %s: exit %d, %s%s", may, r.Code, r.Out, r.Err)
		}
	}
	if s := w.status(); s.State != "up" {
		t.Errorf("the team is %s", s.State)
	}
	w.nicteam("delete", teamName)
}
