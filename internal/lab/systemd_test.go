// SPDX-License-Identifier: MIT

package lab_test

import (
	"os"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestSystemd boots, shuts down and boots again: what runs is stopped first, and /etc stays.
func TestSystemd(t *testing.T) {
	t.Parallel()
	h := labtest.Host(t, "box")
	const unit = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo start >>/var/log/x'\n" +
		"ExecStop=/bin/sh -c 'echo stop >>/var/log/x'\n[Install]\nWantedBy=multi-user.target\n"
	s := labtest.Systemd(t, h, lab.SystemdOptions{Files: map[string]string{"/etc/systemd/system/x.service": unit}})
	_, err := s.Systemctl("enable", "--now", "x")
	labtest.Must(t, err)
	labtest.Must(t, s.Shutdown())
	labtest.Must(t, s.Boot())
	got, err := os.ReadFile(s.Path("/var/log/x"))
	labtest.Must(t, err)
	if string(got) != "start\nstop\nstart\n" {
		t.Errorf("the unit did %q", got)
	}
}
