// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/lab/labtest"
)

// editor is the editor of a test: a shell script, which gets the file as $1.
type editor struct {
	w      *world
	script string
}

func (w *world) editor() *editor {
	dir := w.t.TempDir()
	e := &editor{w: w, script: filepath.Join(dir, "editor.sh")}
	w.env = append(w.env, "VISUAL=", "EDITOR=sh "+e.script, "TMPDIR="+dir)
	return e
}

func (e *editor) does(script string) {
	labtest.Must(e.w.t, os.WriteFile(e.script, []byte(script), 0o600))
}

// TestEdit: a running team is made what the text says, the text itself is in TEAM.yaml afterwards, a set meanwhile is
// never lost, and a change that waits writes nothing until it is confirmed.
func TestEdit(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	file := w.box.Path("/etc/nicteam/" + teamName + ".yaml")
	text := func() string {
		b, err := os.ReadFile(file)
		labtest.Must(t, err)
		return string(b)
	}
	edit := func(args ...string) result { t.Helper(); return w.try(append([]string{"edit", teamName}, args...)...) }
	ed := w.editor()
	w.create([]string{"eth1", "eth2"}, "--mode", "active-backup")
	pid := w.status().PID

	const first = "# The uplink.\nmembers: [eth1, eth2, eth3] # three\nlink_watch: carrier\n\n" +
		"mode: xor   # a static LAG\n# end"
	ed.does("printf '" + strings.ReplaceAll(first, "\n", `\n`) + `' >"$1"`)
	r := edit("--json")
	var a api.Applied
	if err := json.Unmarshal([]byte(r.Out), &a); err != nil || r.Code != 0 || !a.Changed || a.Created {
		t.Fatalf("exit %d, %v\n%s%s", r.Code, err, r.Out, r.Err)
	}
	if s := w.status(); s.Mode != "xor" || len(s.Members) != 3 || s.PID != pid {
		t.Errorf("mode %s, %d members, pid %d", s.Mode, len(s.Members), s.PID)
	}
	if got := text(); got != first {
		t.Errorf("TEAM.yaml:\n%s\nwant:\n%s", got, first)
	}

	ed.does("true")
	if r := edit(); r.Code != 0 || !strings.Contains(r.Out, "unchanged") || text() != first {
		t.Errorf("unchanged: exit %d, %s%s", r.Code, r.Out, r.Err)
	}
	ed.does(`sed -i 's/three/all of them/' "$1"`)
	if r := edit("--json"); r.Code != 0 || !strings.Contains(r.Out, `"changed":false`) ||
		text() != strings.Replace(first, "three", "all of them", 1) {
		t.Errorf("a comment: exit %d, %s%s\n%s", r.Code, r.Out, r.Err, text())
	}
	before := text()
	ed.does(`sed -i 's/xor/elb/' "$1"; exit 1`)
	if r := edit(); r.Code != 1 || text() != before || w.status().Mode != "xor" {
		t.Errorf("an editor that fails: exit %d, %s%s", r.Code, r.Out, r.Err)
	}
	ed.does(`sed -i 's/xor/elb/; s/eth3/eth9/' "$1"`)
	checkRefused(t, edit(), int(api.NotFound), "eth9", "the edited text is in")
	if text() != before || w.status().Mode != "xor" {
		t.Errorf("after a NIC that is not there: %s", text())
	}

	// A set while the editor is open stays, and a comment by hand as well.
	ed.does(program(t) + " set " + teamName + ` hash=layer2 >/dev/null; sed -i 's/xor/elb/' "$1"`)
	checkRefused(t, edit(), int(api.Conflict), "changed while it was edited")
	if s := w.status(); s.Mode != "xor" || s.Settings.Hash != "layer2" || !strings.Contains(text(), "hash: layer2") {
		t.Errorf("mode %s, hash %s\n%s", s.Mode, s.Settings.Hash, text())
	}

	// The process itself refuses the text of a file that is another one by now: the client looks a moment before.
	_, err := tryAsk(w.box, teamName, func(c *control.Client, ctx context.Context) (*api.Plan, error) {
		_, err := c.Apply(ctx, control.Config{YAML: strings.Replace(text(), "xor", "elb", 1),
			Was: config.Digest(before)}, control.ChangeOptions{})
		return nil, err
	})
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Kind != api.Conflict || w.status().Mode != "xor" {
		t.Errorf("an old file: %v, mode %s", err, w.status().Mode)
	}

	// What waits is in TEAM.yaml when it is confirmed, and its text with it.
	before = text()
	ed.does(`sed -i 's/xor .*/broadcast # for a while/' "$1"`)
	x := w.startOnTerminal("edit", teamName, "--confirm", "20s")
	x.awaitText("Make this change?")
	_, err = x.master.WriteString("y\r")
	labtest.Must(t, err)
	x.awaitText("Enter keeps it")
	labtest.Must(t, unix.Kill(w.teamProcess(), unix.SIGKILL)) // the next one writes the text
	w.await("the next process", func(s *api.Status) bool { return s.PID != pid && s.Pending != nil })
	if text() != before || w.status().Mode != "broadcast" {
		t.Errorf("while it waits: mode %s\n%s", w.status().Mode, text())
	}
	checkRefused(t, edit(), int(api.Conflict), "waits for confirmation")
	_, err = x.master.WriteString("\r")
	labtest.Must(t, err)
	x.end(0)
	if !strings.Contains(text(), "mode: broadcast # for a while\n") || !strings.Contains(text(), "# end") {
		t.Errorf("confirmed:\n%s", text())
	}
	before = text()
	ed.does(`sed -i 's/broadcast/elb/' "$1"`)
	x = w.startOnTerminal("edit", teamName)
	x.awaitText("Make this change?")
	_, err = x.master.WriteString("n\r")
	labtest.Must(t, err)
	x.end(int(api.Interrupted))
	if text() != before || w.status().Mode != "broadcast" {
		t.Errorf("not wanted: mode %s\n%s", w.status().Mode, text())
	}

	// Without a TEAM.yaml the file is that of the running team.
	labtest.Must(t, os.Rename(file, file+".away"))
	file = w.box.Path("/run/nicteam/" + teamName + ".yaml")
	ed.does(`sed -i 's/^mode: .*/mode: elb # from now on/' "$1"`)
	if r := edit("-y"); r.Code != 0 || w.status().Mode != "elb" ||
		!strings.Contains(text(), "mode: elb # from now on\n") {
		t.Errorf("without TEAM.yaml: exit %d, %s%s\n%s", r.Code, r.Out, r.Err, text())
	}
}
