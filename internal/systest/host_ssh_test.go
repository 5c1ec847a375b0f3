// SPDX-License-Identifier: MIT

package systest

import "testing"

// TestChangesOverSSH types each change over the NICs that it changes. The session goes on.
func TestChangesOverSSH(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{NICs: 3})
	before := w.state()
	l, pulse := w.login(), w.pulse()
	for _, command := range []string{
		"create " + teamName + " eth1 eth2",
		"add " + teamName + " eth3",
		"remove " + teamName + " eth1", // by which the session came
		"set " + teamName + " mode=active-backup",
		"set " + teamName + " datapath=relay",
		"restart " + teamName,
		"delete " + teamName,
	} {
		l.ok("nicteam " + command + " -y")
		w.checkPulse("after "+command, pulse)
	}
	w.checkUnchanged("after delete", before)
	w.checkNoFiles("after delete")
}
