// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// otherUID is a uid and gid that is neither root nor this user.
const otherUID = 65534

func TestTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	top := t.TempDir()
	in := func(path string) string { return filepath.Join(top, path) }
	mkdir := func(path string, mode os.FileMode, uid, gid int) {
		t.Helper()
		for _, err := range []error{os.MkdirAll(in(path), 0o755), os.Chown(in(path), uid, gid),
			os.Chmod(in(path), mode)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	link := func(target, path string, uid int) {
		t.Helper()
		if err := errors.Join(os.Symlink(target, in(path)), os.Lchown(in(path), uid, uid)); err != nil {
			t.Fatal(err)
		}
	}
	mkdir("root", 0o750, 0, 0)
	mkdir("root/sub", 0o755, 0, 0)
	mkdir("group", 0o770, 0, otherUID)
	mkdir("wheel", 0o775, 0, 0)
	mkdir("open", 0o777, 0, 0)
	mkdir("sticky", 0o777|os.ModeSticky, 0, 0)
	mkdir("sticky/root", 0o755, 0, 0)
	mkdir("theirs", 0o755, otherUID, otherUID)
	mkdir("theirs/root", 0o755, 0, 0)
	link("root", "link", 0)
	link(in("root/sub"), "absolute", 0)
	link("sticky/../root/sub", "dots", 0)
	link("theirs", "to-theirs", 0)
	link("theirs/root", "through-theirs", 0)
	link("root", "their-link", otherUID)
	link("a-loop", "a-loop", 0)
	mkdir("fresh", 0o777|os.ModeSticky, 0, 0)
	for _, file := range []string{"file", "open/file", "group/file"} {
		if err := os.WriteFile(in(file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ path, bad, why string }{
		{"root", "", ""}, {"root/sub", "", ""}, {"root/none/at/all", "", ""}, {"wheel", "", ""},
		{"sticky/root", "", ""}, {"sticky/none", "", ""},
		{"link", "", ""}, {"absolute", "", ""}, {"dots", "", ""}, {"link/sub", "", ""}, {"fresh", "", ""},
		{"group", "group", "group 65534 may write"}, {"open", "open", "everybody may write"},
		{"sticky", "sticky", "everybody may write"},
		{"open/none", "open", "everybody may write"}, {"theirs", "theirs", "belongs to uid 65534"},
		{"theirs/root", "theirs", "belongs to uid 65534"},
		{"to-theirs", "theirs", "belongs to uid 65534"}, {"through-theirs", "theirs", "belongs to uid 65534"},
		{"their-link", "their-link", "belongs to uid 65534"},
		{"a-loop", "", "too many levels"}, {"file", "", "not a directory"}, {"file/sub", "", "not a directory"},
	} {
		err := checkTrusted(in(tt.path))
		var f *untrusted
		switch {
		case tt.why == "" && err != nil:
			t.Errorf("%s: %v", tt.path, err)
		case tt.why != "" && (err == nil || !strings.Contains(err.Error(), tt.why)):
			t.Errorf("%s: %v, want %s", tt.path, err, tt.why)
		case tt.bad != "" && (!errors.As(err, &f) || f.path != in(tt.bad)):
			t.Errorf("%s: %v, want the fault of %s", tt.path, err, tt.bad)
		}
	}
}

// TestCloseToOthers: an empty directory that is open to everybody is closed.
func TestCloseToOthers(t *testing.T) {
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]os.FileMode{0o777 | os.ModeSticky: 0o750, 0o777: 0o750, 0o700: 0o700,
		0o755: 0o755} {
		if err := errors.Join(os.Chmod(dir, mode), checkTrusted(dir), closeToOthers(dir)); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
		if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != want {
			t.Errorf("%v became %v, want %v (%v)", mode, st.Mode(), want, err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(filepath.Join(dir, "planted"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if closeToOthers(dir) == nil {
		t.Error("a directory that somebody has written to was claimed")
	}
}

// TestDirsOfOthers: each of the three directories is checked before any is made.
func TestDirsOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	for _, flag := range []string{"run-dir", "state-dir", "config-dir"} {
		top := t.TempDir()
		theirs := filepath.Join(top, "theirs")
		if err := errors.Join(os.Mkdir(theirs, 0o755), os.Chown(theirs, otherUID, otherUID)); err != nil {
			t.Fatal(err)
		}
		p := Dirs{RunDir: top + "/r", StateDir: top + "/s", ConfigDir: top + "/c"}
		switch flag {
		case "run-dir":
			p.RunDir = theirs
		case "state-dir":
			p.StateDir = theirs + "/below"
		case "config-dir":
			p.ConfigDir = theirs
		}
		err := p.Make()
		var problem *api.Problem
		if !errors.As(err, &problem) || problem.Kind != api.NotPermitted ||
			!strings.Contains(problem.Fix, "--"+flag) || !strings.Contains(problem.Why, theirs) {
			t.Errorf("%s: %+v", flag, err)
		}
		if left, _ := filepath.Glob(top + "/*/*"); len(left) > 0 {
			t.Errorf("%s: %q were made", flag, left)
		}
	}
}

// TestFilesOfOthers: links, pipes and files of others in the place of our file are refused and unchanged.
func TestFilesOfOthers(t *testing.T) {
	plants := map[string]func(path, victim string) error{
		"link":          func(path, victim string) error { return os.Symlink(victim, path) },
		"dangling link": func(path, victim string) error { return os.Symlink(victim+".none", path) },
		"second name":   func(path, victim string) error { return os.Link(victim, path) },
		"pipe":          func(path, _ string) error { return unix.Mkfifo(path, 0o600) },
		"directory":     func(path, _ string) error { return os.Mkdir(path, 0o700) },
	}
	opens := map[string]func(Dirs) error{
		"lock": func(d Dirs) error {
			l, err := LockTeam(d, "team0")
			if err == nil {
				l.Release()
			}
			return err
		},
		"log": func(d Dirs) error {
			l, err := OpenLog(d.LogFile("team0"))
			if err == nil {
				_ = l.Close()
			}
			return err
		},
	}
	for name, open := range opens {
		for what, plant := range plants {
			top := t.TempDir()
			p := Dirs{RunDir: top, StateDir: top, ConfigDir: top}
			victim := filepath.Join(top, "victim")
			if err := errors.Join(os.WriteFile(victim, []byte("theirs"), 0o600),
				plant(filepath.Join(top, "team0."+name), victim)); err != nil {
				t.Fatal(err)
			}
			if err := open(p); err == nil {
				t.Errorf("%s: a %s is opened", name, what)
			}
			if b, _ := os.ReadFile(victim); string(b) != "theirs" {
				t.Errorf("%s through a %s: the victim has %q", name, what, b)
			}
			if _, err := os.Lstat(victim + ".none"); err == nil {
				t.Errorf("%s through a %s: a file was made", name, what)
			}
		}
	}
}
