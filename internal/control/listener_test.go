// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nicteam/internal/api"
)

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "team0.sock")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, &fake{}, Options{}); err == nil {
		t.Fatal("replaced a file that is no socket")
	}
	_ = os.Remove(path)
	for range 2 { // the second replaces what the first left
		s, err := Listen(path, &fake{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Lstat(path)
		if err != nil || st.Mode().Perm() != 0o660 {
			t.Errorf("mode %v, %v", st, err)
		}
		_ = s.l.UnixListener.Close()
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("leftovers: %v", list)
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 200)), &fake{}, Options{}); err == nil {
		t.Error("listens on a path that is too long")
	}
}

// otherUser asks as whoever this process is; see TestAuthority.
func otherUser(path string) int {
	c := NewClient(filepath.Dir(path), "team0")
	_, errRead := c.Status(context.Background())
	_, errAdd := c.Add(context.Background(), []string{"eth1"}, ChangeOptions{})
	_, errDelete := c.Delete(context.Background(), ChangeOptions{})
	fmt.Println(errRead == nil, code(errAdd), code(errDelete))
	return 0
}

func code(err error) int {
	var p *api.Problem
	if errors.As(err, &p) {
		return int(p.Kind)
	}
	return 0
}

func TestAuthority(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	f := &fake{}
	dir := serve(t, f, Options{})
	path := filepath.Join(dir, "team0.sock")
	openWay(t, dir)
	run := func(mode os.FileMode) string {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return asNobody(t, "CONTROL_TEST_SOCKET="+path)
	}
	if got := run(0o666); got != "true 4 4" {
		t.Errorf("another user who may open the socket: read, add, delete = %s, want true 4 4", got)
	}
	if got := run(0o660); got != "false 4 4" {
		t.Errorf("another user who may not: read, add, delete = %s, want false 4 4", got)
	}
	if calls := f.called(); len(calls) != 0 {
		t.Errorf("another user changed things: %q", calls)
	}
}

// openWay lets every user enter dir.
func openWay(t *testing.T, dir string) {
	t.Helper()
	for p := dir; p != "/"; p = filepath.Dir(p) {
		if st, err := os.Stat(p); err == nil && st.Mode().Perm()&0o001 == 0 {
			if !strings.HasPrefix(p, os.TempDir()+"/") {
				t.Skipf("%s cannot be entered by another user", p)
			}
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

const nobody = 65534

// asNobody is asUser of a stranger.
func asNobody(t *testing.T, variable string) string {
	t.Helper()
	return asUser(t, nobody, nobody, variable)
}

// asUser runs this program with one variable as another user, and returns what it says.
func asUser(t *testing.T, uid, gid uint32, variable string) string {
	t.Helper()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = exe.Close() }()
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{exe}
	cmd.Env = []string{variable}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// otherUserLists lists the teams as whoever this process is; see TestRunning.
func otherUserLists(dir string) int {
	names, err := Running(dir)
	fmt.Println(len(names), code(err))
	return 0
}

// TestRunning: a directory that cannot be read is not one without teams.
func TestRunning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if names, err := Running(dir); err != nil || len(names) != 0 {
		t.Errorf("no directory: %q, %v", names, err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if names, err := Running(dir); err != nil || len(names) != 0 {
		t.Errorf("empty: %q, %v", names, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Running(file); kindOf(t, err) != api.Failed {
		t.Errorf("a file: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	if got := asNobody(t, "CONTROL_TEST_RUNDIR="+dir); got != fmt.Sprint(0, int(api.NotPermitted)) {
		t.Errorf("another user: teams and code %s", got)
	}
}
