// SPDX-License-Identifier: MIT

package lab_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestSSHD(t *testing.T) {
	t.Parallel()
	labtest.Root(t)
	labtest.Tool(t, "/usr/sbin/sshd", "openssh-server")
	labtest.Tool(t, "ssh", "openssh-client")
	server, client := labtest.Host(t, "server"), labtest.Host(t, "client")
	labtest.Cable(t, server, "eth0", client, "eth0", lab.CableOptions{})
	labtest.Must(t, server.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Must(t, client.SetAddr("eth0", "10.9.0.2/24"))
	logins := func() (sizes []int64) {
		for _, f := range []string{"/var/log/wtmp", "/var/log/lastlog"} {
			if i, err := os.Stat(f); err == nil {
				sizes = append(sizes, i.Size(), i.ModTime().UnixNano())
			}
		}
		return sizes
	}
	before := logins()
	s, err := lab.NewSSHD(server, map[string]string{"GREETING": "hello"})
	labtest.Must(t, err)
	for _, terminal := range []bool{false, true} {
		out, err := s.Login(client, "10.9.0.1", terminal, "uname -n; echo $GREETING; tty").Output()
		want := "server\nhello\nnot a tty\n"
		if got := strings.ReplaceAll(string(out), "\r", ""); terminal {
			if !strings.HasPrefix(got, "server\nhello\n/dev/pts/") || err != nil {
				t.Errorf("with a terminal: %q, %v", got, err)
			}
		} else if got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if after := logins(); !slices.Equal(before, after) {
		t.Errorf("the machine's list of logins was %v and is %v", before, after)
	}
}
