// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTextfileFollows: a textfile that is written again and again has the teams of that moment, survives a directory
// that is away for a while, and goes with its writer.
func TestTextfileFollows(t *testing.T) {
	run, dir := t.TempDir(), t.TempDir()
	dir += "/prom"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq("team0 team1") {
		stop, err := serveTeam(run, &fakeTeam{name: name, state: "up"})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		if name == "team1" { // its process is killed and leaves socket and configuration
			stop()
			leaveSocket(t, run+"/team1.sock")
			if err := os.WriteFile(run+"/team1.yaml", []byte("members: [eth1, eth2, eth3]\n"), 0o640); err != nil {
				t.Fatal(err)
			}
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: exe,
		Args: []string{"nicteam", "--run-dir", run, "metrics", "--textfile", dir, "--interval", "1s"}}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewReader(stderr)
	awaitLine(t, lines, "writing metrics")
	file := filepath.Join(dir, textfileName)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`node_bonding_slaves{master="team0"} 2`, `node_bonding_active{master="team0"} 2`,
		`node_bonding_slaves{master="team1"} 3`, `node_bonding_active{master="team1"} 0`} {
		if !strings.Contains(string(b), want+"\n") {
			t.Errorf("%s is missing in\n%s", want, b)
		}
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", st.Mode(), err)
	}

	if err := os.Remove(run + "/team1.sock"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, lines, "not written")
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, lines, "written again")
	if b, err = os.ReadFile(file); err != nil || strings.Contains(string(b), "team1") {
		t.Errorf("%v\n%s", err, b)
	}

	_ = cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(lines)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 || len(rest) > 0 {
		t.Errorf("exit code %d, stderr %q", code, rest)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v %v", list, err)
	}
}

// awaitLine reads until a line has a text.
func awaitLine(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	late := time.AfterFunc(time.Minute, func() { panic("no line with " + text) })
	defer late.Stop()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v before a line with %q", err, text)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}
