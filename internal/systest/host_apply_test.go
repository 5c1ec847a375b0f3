// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// TestApply makes a team what a file says: twice changes nothing, all of a change is made or nothing, and one change
// that waits is reverted as a whole.
func TestApply(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	before := w.state()
	path := w.box.Path("/etc/nicteam/desired.yaml")
	const here = "/etc/nicteam/desired.yaml"
	says := func(text string) { labtest.Must(t, os.WriteFile(path, []byte("team: "+teamName+"\n"+text), 0o600)) }
	apply := func(args ...string) (a api.Applied) {
		t.Helper()
		out := w.nicteam(append([]string{"apply", "-f", here, "--json"}, args...)...)
		labtest.Must(t, json.Unmarshal([]byte(out), &a))
		return a
	}
	says("members: [eth1, eth2]\nmode: active-backup\n")
	if a := apply("--dry-run"); !a.Changed || a.Created || a.Plan == nil {
		t.Errorf("dry run of a new team: %+v", a)
	}
	if a := apply(); !a.Changed || !a.Created {
		t.Errorf("a new team: %+v", a)
	}
	pid := w.status().PID
	piped := w.box.Command(program(t), "apply", "-f", "-")
	piped.Stdin = strings.NewReader("team: " + teamName + "\nmembers: [eth1, eth2]\nmode: active-backup\n")
	piped.Env = append(os.Environ(), "NICTEAM_LINK_WATCH=carrier")
	if out, err := piped.CombinedOutput(); err != nil || !strings.Contains(string(out), "nothing to do") {
		t.Errorf("from standard input: %v, %s", err, out)
	}
	if a := apply(); a.Changed || a.Created || len(a.Steps) > 0 {
		t.Errorf("again: %+v", a)
	}
	says("members: [eth2, {name: eth3, weight: 2}]\nmode: xor\nup_delay: 1ms\n")
	if a := apply("--dry-run"); !a.Changed || a.Plan == nil || len(a.Plan.Settings) != 3 {
		t.Errorf("dry run of a change: %+v", a)
	}
	if s := w.status(); s.Mode != "active-backup" || len(s.Members) != 2 {
		t.Errorf("a dry run has made mode %s, %d members", s.Mode, len(s.Members))
	}
	if a := apply(); !a.Changed || a.Created {
		t.Errorf("a change: %+v", a)
	}
	check := func(when, mode string, members ...string) {
		t.Helper()
		s := w.status()
		var names []string
		for _, m := range s.Members {
			names = append(names, m.Name)
		}
		if s.Mode != mode || strings.Join(names, " ") != strings.Join(members, " ") || s.PID != pid {
			t.Errorf("%s: mode %s, members %v, pid %d, was %d", when, s.Mode, names, s.PID, pid)
		}
	}
	check("after a change", "xor", "eth2", "eth3")
	if m := w.member("eth3"); m.Weight != 2 {
		t.Errorf("eth3 has weight %v", m.Weight)
	}
	if r := w.try("apply", "-f", here); r.Code != 0 || !strings.Contains(r.Out+r.Err, "nothing to do") {
		t.Errorf("exit %d, %s%s", r.Code, r.Out, r.Err)
	}

	says("members: [eth1, eth2]\nmode: xor\naddress: none\n")
	checkRefused(t, w.try("apply", "-f", here), int(api.Conflict), "address", "nicteam delete")
	says("members: [eth1, eth2, eth9]\nmode: elb\n")
	checkRefused(t, w.try("apply", "-f", here), int(api.NotFound), "eth9")
	says("members: [eth1\n")
	checkRefused(t, w.try("apply", "-f", here), int(api.Usage), "desired.yaml:")
	check("after what was refused", "xor", "eth2", "eth3")

	says("members: [eth1, eth2]\nmode: elb\n")
	x := w.start("apply", "-f", here, "--confirm", "20s")
	w.awaitPending("apply")
	check("while it waits", "elb", "eth2", "eth1")
	w.nicteam("revert", teamName)
	x.end(int(api.Reverted))
	check("after the revert", "xor", "eth2", "eth3")

	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
}
