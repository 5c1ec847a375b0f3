// SPDX-License-Identifier: MIT

package systest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// processStatus returns fields of /proc/PID/status.
func processStatus(t testing.TB, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	labtest.Must(t, err)
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields
}

// TestMetricsServerHasNoRights: a server that anybody may talk to does not run with root's rights, and shows teams that
// come later.
func TestMetricsServerHasNoRights(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	for _, user := range []bool{false, true} {
		want := map[string]string{"Uid": "0\t0\t0\t0", "CapEff": "0000000000000000", "CapPrm": "0000000000000000",
			"NoNewPrivs": "1", "Seccomp": "2"}
		if user {
			want["Uid"], want["Gid"], want["Groups"] = "4242\t4242\t4242\t4242", "4243\t4243\t4243\t4243", "4243"
			w.sh(`cp /etc/passwd /run/passwd; echo nicteam:x:4242:4243::/:/bin/false >>/run/passwd
cp /etc/group /run/group; echo nicteam:x:4243: >>/run/group
chgrp 4243 /run/nicteam; chmod 2750 /run/nicteam; mount --bind /run/passwd /etc/passwd; mount --bind /run/group /etc/group`)
		}
		cmd := w.box.Command(program(t), "metrics", "--listen", "127.0.0.1:0")
		stderr, err := cmd.StderrPipe()
		labtest.Must(t, err)
		labtest.Must(t, cmd.Start())
		lines := bufio.NewScanner(stderr)
		at := ""
		for at == "" && lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), "at=http://"); ok {
				at, _, _ = strings.Cut(rest, "/")
			}
		}
		w.create(nics(2), "--mode", "active-backup")
		fields := processStatus(t, cmd.Process.Pid)
		for key, value := range want {
			if fields[key] != value {
				t.Errorf("user %v: %s is %q, want %q", user, key, fields[key], value)
			}
		}
		client := http.Client{Transport: &http.Transport{DialContext: w.box.Dial, DisableKeepAlives: true}}
		r, err := client.Get("http://" + at + "/metrics")
		labtest.Must(t, err)
		b, err := io.ReadAll(r.Body)
		labtest.Must(t, err)
		_ = r.Body.Close()
		if !strings.Contains(string(b), `nicteam_up{team="team0"} 1`) {
			t.Errorf("user %v: the team is not shown:\n%.500s", user, b)
		}
		w.nicteam("delete", teamName)
		labtest.Must(t, cmd.Process.Signal(unix.SIGTERM))
		_ = cmd.Wait()
	}
}
