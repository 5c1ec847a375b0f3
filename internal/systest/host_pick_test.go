// SPDX-License-Identifier: MIT

package systest

import (
	"testing"

	"nicteam/internal/api"
)

// TestNICsAreChosen over SSH, from the list of create and from that of the live view, with the NIC of the session among
// them.
func TestNICsAreChosen(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{NICs: 3})
	before := w.state()
	l, pulse := w.login(), w.pulse()
	l.ok("export TERM=xterm LC_ALL=C.UTF-8")

	l.begin("nicteam create -y")
	l.expect(`Create team0: choose its NICs`)
	l.expect(`eth1.*your SSH`)
	l.expect(`q leave`)
	l.press("  q") // chosen and not
	if r := l.awaitEnd(); r.Code != int(api.Interrupted) {
		t.Errorf("left with exit %d: %s", r.Code, r.Out)
	}
	w.checkUnchanged("after the list was left", before)

	l.begin("nicteam create -y")
	l.expect(`q leave`)
	l.press(" j \r")
	l.expect(`make it`)
	l.press("\r")
	l.expect(`nicteam create team0 eth1 eth2 --yes\n`)
	if r := l.awaitEnd(); r.Code != 0 {
		t.Fatalf("create: exit %d\n%s", r.Code, r.Out)
	}
	w.checkPulse("after create", pulse)

	l.begin("nicteam watch")
	l.expect(`team0 · elb`)
	l.press("a")
	l.expect(`Add NICs`)
	l.press(" \ry")
	w.await("eth3 joins, for now", func(s *api.Status) bool { return len(s.Members) == 3 && s.Pending != nil })
	l.expect(`keep it`)
	l.press("c")
	w.await("eth3 stays", func(s *api.Status) bool { return len(s.Members) == 3 && s.Pending == nil })
	l.press("q")
	if r := l.awaitEnd(); r.Code != 0 {
		t.Errorf("watch: exit %d", r.Code)
	}
	w.checkPulse("after add", pulse)
}
