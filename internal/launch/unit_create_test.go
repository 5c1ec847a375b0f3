// SPDX-License-Identifier: MIT

package launch

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReportSocketIsRootsFromTheStart: whatever the umask, the socket is made with its mode, and does not get it later.
func TestReportSocketIsRootsFromTheStart(t *testing.T) {
	d := Dirs{RunDir: t.TempDir()}
	defer unix.Umask(unix.Umask(0))
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(watch) }()
	if _, err := unix.InotifyAddWatch(watch, d.RunDir, unix.IN_ATTRIB); err != nil {
		t.Fatal(err)
	}
	l, err := listenReports(d, "team0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if st, err := os.Stat(d.reportSocket("team0")); err != nil || st.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if n, err := unix.Read(watch, make([]byte, 4096)); err != unix.EAGAIN {
		t.Errorf("its mode was changed after it was there (%d, %v)", n, err)
	}
}
