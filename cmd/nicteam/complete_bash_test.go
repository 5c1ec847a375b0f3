// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const bashCompletion = "/usr/share/bash-completion/bash_completion"

// TestCompletionInBash types into a real bash. What only it shows: that nothing is put behind "mode=", that what stands
// before = , and : stays, and how a list looks.
func TestCompletionInBash(t *testing.T) {
	for _, needed := range []string{"tmux", "bash"} {
		if _, err := exec.LookPath(needed); err != nil {
			t.Skipf("needs %s", needed)
		}
	}
	if _, err := os.Stat(bashCompletion); err != nil {
		t.Skip("needs bash-completion: scripts/need bash-completion")
	}
	dir := t.TempDir()
	stop, err := serveTeam(dir, &fakeTeam{name: "team0", state: "up"})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"team7.yaml": "", "team7.txt": "",
		"rc": fmt.Sprintf("source %s; source <(nicteam completion bash); PS1='> '; cd %s; echo ready", bashCompletion,
			dir)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(exe, filepath.Join(dir, "nicteam")); err != nil {
		t.Fatal(err)
	}
	s := &screen{t, filepath.Join(dir, "tmux")}
	s.tmux("new-session", "-d", "-x", "150", "-y", "50", fmt.Sprintf("env -i HOME=%[1]s TERM=$TERM LC_ALL=C.UTF-8 "+
		"PATH=%[1]s:$PATH NICTEAM_RUN_DIR=%[1]s NICTEAM_STATE_DIR=%[1]s NICTEAM_CONFIG_DIR=%[1]s "+
		"bash --noprofile --rcfile %[1]s/rc -i", dir))
	t.Cleanup(func() { s.tmux("kill-server") })
	s.shows("ready")
	for _, tt := range []struct{ typed, shows string }{ // ^ is the Tab key
		{"nicteam set te^mo^ac^li^gateway,pro^,ar^",
			`> nicteam set team0 mode=active-backup link_watch=gateway,probe,arp:$`},
		{"nicteam cr^team7 eth1 --lacp-r^f^--hash=layer3^",
			`> nicteam create team7 eth1 --lacp-rate fast --hash=layer3\+4$`},
		{"nicteam remove team0 eth^^", `eth1 +\(up.*\).*eth2 +\(standby.*\).*> nicteam remove team0 eth$`},
		{"nicteam apply -f t^", `> nicteam apply -f team7\.yaml$`},
		{"nicteam set team0 up_d^^^", `up_delay: how long a link must be up.*> nicteam set team0 up_delay=$`},
		{"nicteam set team0 probe_int^", `> nicteam set team0 probe_interval=$`},
	} {
		s.keys("C-u", "C-l")
		for i, part := range strings.Split(tt.typed, "^") {
			if i > 0 {
				s.keys("Tab")
			}
			if part != "" {
				s.keys("-l", "--", part)
			}
		}
		s.shows("(?ms)" + tt.shows)
	}
}
