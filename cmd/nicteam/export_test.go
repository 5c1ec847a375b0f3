// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nicteam/internal/api"
)

// archive is a pretended team whose history knows eth1 only, and nothing of periods shorter than a minute.
type archive struct{ *fakeTeam }

func (archive) History(q api.HistoryQuery) (*api.History, error) {
	if q.Member != "" && q.Member != "eth1" {
		return nil, &api.Problem{Kind: api.NotFound, What: "history of " + q.Member,
			Why: "no member of that name is known", Fix: "members are: eth1"}
	}
	d := &api.History{Schema: "nicteam.history/v1", Team: "team0", Member: q.Member, From: epoch,
		To: epoch.Add(2 * q.Step), Step: int64(q.Step), Columns: 2,
		Covered: []int64{0, 0}, Members: []api.NamedColumns{}, Protocols: []api.NamedColumns{{Name: "tcp"}},
		Events: []api.Event{}}
	if q.To.Sub(q.From) >= time.Minute {
		d.Covered[1] = int64(q.Step)
		d.RX = api.SeriesColumns{Bytes: []uint64{0, 1000}, Frames: []uint64{0, 1}, BytesPeak: []uint64{0, 1000},
			FramesPeak: []uint64{0, 1}}
		d.Protocols[0].RX = d.RX
		if q.Member == "" {
			d.Members = []api.NamedColumns{{Name: "eth1", RX: d.RX}}
		}
	}
	return d, nil
}

// exported runs the verb in a directory with a team and returns what it said.
func exported(t *testing.T, dir string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(append([]string{"--run-dir", dir, "export"}, args...), &o, &e, nil)
	return code, o.String(), e.String()
}

func archived(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	stop, err := serveTeam(dir, archive{&fakeTeam{name: "team0", state: "up"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return dir
}

func TestExportFormats(t *testing.T) {
	dir := archived(t)
	for format, ok := range map[string]func(b []byte) error{
		"svg": func(b []byte) error { return xml.Unmarshal(b, new(struct{ XMLName xml.Name })) },
		"png": func(b []byte) error { _, err := png.Decode(bytes.NewReader(b)); return err },
		"csv": func(b []byte) error { _, err := csv.NewReader(bytes.NewReader(b)).ReadAll(); return err },
		"json": func(b []byte) error {
			if !bytes.HasPrefix(b, []byte(`{"schema":"nicteam.history/v1","team":"team0"`)) {
				return errors.New("another document")
			}
			return nil
		},
		"md": func(b []byte) error {
			if !bytes.HasPrefix(b, []byte("## team0 · active-backup · 2/2 up\n")) {
				return errors.New("another text")
			}
			return nil
		},
	} {
		file := filepath.Join(dir, "out."+format)
		if code, out, errs := exported(t, dir, "team0", "-o", file); code != 0 || errs != "" ||
			!strings.HasPrefix(out, "wrote "+file) {
			t.Errorf("%s: %d %q %q", format, code, out, errs)
		}
		saved, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := ok(saved); err != nil {
			t.Errorf("%s: %v\n%s", format, err, saved)
		}
		code, out, _ := exported(t, dir, "team0", "--format", format, "-o", "-")
		if code != 0 || out == "" || strings.Contains(out, "wrote") || ok([]byte(out)) != nil {
			t.Errorf("%s to stdout: %d %.80q", format, code, out)
		}
	}
	if code, out, _ := exported(t, dir, "team0/eth1", "--format", "csv", "-o", "-"); code != 0 ||
		!strings.Contains(out, ",member,eth1,1000,1,") || strings.Contains(out, ",team,") {
		t.Errorf("one NIC: %d\n%s", code, out)
	}
}

func TestExportRefuses(t *testing.T) {
	dir := archived(t)
	file := filepath.Join(dir, "kept.svg")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"team0 --format gif -o " + file, 2, "svg, png, csv, json, md"},
		{"team0 -o " + dir + "/x.gif", 2, "svg, png, csv, json, md"},
		{"team0 -o -", 2, "format missing"},
		{"team0 --format svg", 2, "output file missing"},
		{"team0 --last 10s -o " + file, 1, "no traffic recorded in the last 10s"},
		{"team0/eth1 --last 10s -o " + file, 1, "team0/eth1: no traffic"},
		{"team0/eth9 -o " + file, 3, "no member of that name"},
		{"team9 -o " + file, 3, "no team"},
		{"team0 --last 0.5s -o " + file, 2, "last"},
		{"team0 --last -1h -o " + file, 2, "last"},
		{"team0 --last 1 -o " + file, 2, "last"},
		{"team0 --step 1ms -o " + file, 2, "step"},
		{"team0 --width 5 -o " + file, 2, "pixels"},
		{"team0 --unit furlong -o " + file, 2, "kbit"},
		{"team0 --view sideways -o " + file, 2, "protocol"},
		{"team0 --scale wide -o " + file, 2, "link"},
		{"team0 --format svg -o " + dir, 1, "is a directory"},
		{"team0 -o " + dir + "/none/x.svg", 1, "no such file"},
		{"team0 -o " + file + "/x.svg", 1, "not a directory"},
		{"team0 --format svg -o /dev/full", 1, "no space left"},
	} {
		code, out, errs := exported(t, dir, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(errs, tt.says) || out != "" || strings.Count(errs, "\n") != 3 {
			t.Errorf("%s: %d %q %q; want %d and %q", tt.args, code, out, errs, tt.code, tt.says)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "old" {
		t.Errorf("the file is %q", b)
	}
	if after := names(t, dir); after != before {
		t.Errorf("files were %s, are %s", before, after)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	is := func(path, want string, mode fs.FileMode) {
		t.Helper()
		b, err := os.ReadFile(path)
		st, e := os.Stat(path)
		if err != nil || e != nil || string(b) != want || st.Mode().Perm() != mode {
			t.Errorf("%s: %q %v %v", path, b, err, e)
		}
	}
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("long old text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o662); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := replace(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	is(file, "new", 0o662)
	if st, err := os.Lstat(link); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", st, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		f, err := os.Open(pipe)
		if err != nil {
			read <- err.Error()
			return
		}
		b, _ := io.ReadAll(f)
		_ = f.Close()
		read <- string(b)
	}()
	if err := replace(pipe, []byte("passed on")); err != nil {
		t.Error(err)
	}
	if got := <-read; got != "passed on" {
		t.Errorf("the pipe had %q", got)
	}
	if got := names(t, dir); got != "file link pipe" {
		t.Errorf("files: %s", got)
	}
}

// TestReplaceLeavesNothingHalfWritten: the disk is full, as far as the process can tell, in the middle.
func TestReplaceLeavesNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	const most = 4 << 20 // the log that go test keeps of files is a file of this process, too, and far smaller
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	err := replace(file, make([]byte, most+1))
	if e := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("error %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "old" {
		t.Errorf("the file is %q", b)
	}
	if got := names(t, dir); got != "file" {
		t.Errorf("files: %s", got)
	}
}
