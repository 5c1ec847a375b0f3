// SPDX-License-Identifier: MIT

package labtest

import (
	"strings"
	"testing"
)

// TestScript compares scripts with what is run in their place.
func TestScript(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"one", "ip addr add 10.9.0.1/24 dev a", "ip addr add 10.9.0.1/24 dev a"},
		{"in a line", "ip addr add 1 dev a; ip addr add 2 dev a",
			"ip -batch - <<'END'\naddr add 1 dev a\naddr add 2 dev a\nEND"},
		{"families", `
			ip addr add 1 dev a
			ip addr add 2 dev a
			ip -6 addr add 3 dev a
			ip -6 route add 4 dev a
			ip link set a up`,
			"ip -batch - <<'END'\naddr add 1 dev a\naddr add 2 dev a\nEND\n" +
				"ip -6 -batch - <<'END'\naddr add 3 dev a\nroute add 4 dev a\nEND\nip link set a up"},
		{"of the shell", `
			echo 1 >/x
			ip addr add 1 dev a || true
			ip addr add $x dev a; ip addr add 2 dev a
			for i in 1 2; do ip addr add 3 dev a; done
			ip addr add 4 \
				dev a
			ip addr show dev a
			ip link add b type bridge`,
			"echo 1 >/x\nip addr add 1 dev a || true\nip addr add $x dev a; ip addr add 2 dev a\n" +
				"for i in 1 2; do ip addr add 3 dev a; done\nip addr add 4 \\\ndev a\nip addr show dev a\n" +
				"ip link add b type bridge"},
		{"text", "cat >/x <<E\nip addr add 1 dev a\nip addr add 2 dev a\nE",
			"cat >/x <<E\nip addr add 1 dev a\nip addr add 2 dev a\nE"},
		{"text in quotes", "echo '\nip addr add 1 dev a\nip addr add 2 dev a\n' >/x",
			"echo '\nip addr add 1 dev a\nip addr add 2 dev a\n' >/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lines []string
			for line := range strings.Lines(Script(tt.script)) {
				if line = strings.TrimSpace(line); line != "" {
					lines = append(lines, line)
				}
			}
			if got := strings.Join(lines, "\n"); got != tt.want {
				t.Errorf("%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// TestScriptFails: what follows a command that fails is not done.
func TestScriptFails(t *testing.T) {
	Root(t)
	Tool(t, "ip", "iproute2")
	h := Host(t, "script")
	sh := func(script string) (string, error) {
		out, err := h.Command("sh", "-ec", Script(script)).CombinedOutput()
		return string(out), err
	}
	out, err := sh("ip addr add 10.9.0.1/32 dev lo; ip addr add 10.9.0.1/32 dev lo\n" +
		"ip addr add 10.9.0.2/32 dev lo\necho on")
	if err == nil || strings.Contains(out, "on") {
		t.Errorf("%v: %s", err, out)
	}
	out, err = sh("ip -4 addr show dev lo")
	if err != nil || !strings.Contains(out, "10.9.0.1/32") || strings.Contains(out, "10.9.0.2/32") {
		t.Errorf("%v: %s", err, out)
	}
}
