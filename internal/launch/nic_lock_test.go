// SPDX-License-Identifier: MIT

package launch

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// noNIC is the ifindex of no NIC, so no team holds its lock.
var noNIC = 1<<30 + os.Getpid()

func TestNICLock(t *testing.T) {
	a, b := NewNICLocks("team0", "/run/a"), NewNICLocks("team1", "/run/b")
	defer a.KeepOnly()
	defer b.KeepOnly()
	took := func(l *NICLocks, index int) *NICHolder {
		t.Helper()
		h, err := l.Lock(index)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h, known := NICHolderOf(noNIC); h != nil || known {
		t.Errorf("a NIC that is not locked has a holder: %+v, %v", h, known)
	}
	for range 2 { // again is fine
		if h := took(a, noNIC); h != nil {
			t.Errorf("a free NIC is %+v's", h)
		}
	}
	for range 200 { // however often it is asked
		if h := took(b, noNIC); h == nil || *h != (NICHolder{"team0", "/run/a"}) {
			t.Fatalf("the NIC is %+v's", h)
		}
	}
	if h := took(b, noNIC+1); h != nil {
		t.Errorf("another NIC is %+v's", h)
	}
	a.KeepOnly(noNIC + 1)
	if h := took(b, noNIC); h != nil {
		t.Errorf("a NIC that was left is %+v's", h)
	}
	if p := (&NICHolder{"team0", "/run/a"}).Problem("create team1", "eth2"); p.Kind != 5 ||
		!strings.Contains(p.Fix, "nicteam remove team0 eth2 --run-dir /run/a") {
		t.Errorf("problem %+v", p)
	}
}

// TestNICLockOfAnOrdinaryUser: any user can bind the name of a lock. That keeps no team from the NIC.
func TestNICLockOfAnOrdinaryUser(t *testing.T) {
	labtest.Root(t)
	listening := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread, which has become another user, ends with the goroutine
		fd := -1
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, otherUID, otherUID, otherUID); e == 0 {
			fd, _ = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if unix.Bind(fd, &unix.SockaddrUnix{Name: nicLockName(noNIC + 2)}) != nil || unix.Listen(fd, 8) != nil {
				fd = -1
			}
		}
		listening <- fd
	}()
	fd := <-listening
	if fd < 0 {
		t.Fatal("no socket of another user")
	}
	defer func() { _ = unix.Close(fd) }()
	l := NewNICLocks("team1", "/run/b")
	defer l.KeepOnly()
	if h, err := l.Lock(noNIC + 2); h != nil || err != nil {
		t.Errorf("kept out by %+v, %v", h, err)
	}
	if h, known := NICHolderOf(noNIC + 2); h != nil || !known {
		t.Errorf("it is %+v's, %v", h, known)
	}
}
