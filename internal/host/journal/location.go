// SPDX-License-Identifier: MIT

package journal

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/boot"
	"nicteam/internal/rtnl"
	"nicteam/internal/thread"
)

// Location is the boot and network namespace that a journal is about.
type Location struct {
	Boot   string // boot id
	NetNS  uint64 // inode of the network namespace
	Cookie uint64 // of the network namespace, 0 unknown
}

func (b *BeginRecord) Location() Location { return Location{b.Boot, b.NetNS, b.Cookie} }

// Same compares network namespaces of one boot. An inode may be reused, a cookie not.
func (w Location) Same(o Location) bool {
	return w.NetNS == o.NetNS && (w.Cookie == o.Cookie || w.Cookie == 0 || o.Cookie == 0)
}

// Here returns the location of the calling thread.
func Here() (Location, error) {
	id, err := boot.ID()
	if err != nil {
		return Location{}, err
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return Location{}, fmt.Errorf("read network namespace: %w", err)
	}
	return Location{id, st.Ino, netnsCookie()}, nil
}

// netnsCookie returns a number that no other network namespace of this boot has, 0 before Linux 5.14.
func netnsCookie() uint64 {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
}

// Exists reports whether another network namespace of this boot still exists: a process is in it, or it is mounted, as
// by ip netns and container engines.
func (w Location) Exists() bool {
	name := fmt.Sprintf("net:[%d]", w.NetNS)
	paths, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return true
	}
	paths = slices.DeleteFunc(paths, func(p string) bool {
		at, err := os.Readlink(p)
		return err != nil || at != name
	})
	paths = append(paths, mounted(name)...)
	for _, p := range paths {
		if cookie := NetNSCookieAt(p); cookie != 0 && w.Cookie != 0 {
			return cookie == w.Cookie // no: the inode was reused
		}
	}
	return len(paths) > 0
}

// mounted returns where a namespace is mounted, for this process and for process 1.
func mounted(name string) []string {
	var paths []string
	for list, root := range map[string]string{"/proc/self/mountinfo": "", "/proc/1/mountinfo": "/proc/1/root"} {
		f, err := os.Open(list)
		if err != nil {
			continue
		}
		in := bufio.NewScanner(f)
		for in.Scan() {
			// 36 35 0:4 net:[4026532281] /run/netns/blue rw - nsfs nsfs rw
			if fields := strings.Fields(in.Text()); len(fields) > 4 && fields[3] == name {
				paths = append(paths, root+fields[4])
			}
		}
		f.Close()
	}
	return paths
}

// NetNSCookieAt returns the cookie of the namespace at path, 0 if it is unknown.
func NetNSCookieAt(path string) (cookie uint64) {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	thread.Ending(func() {
		if unix.Setns(int(f.Fd()), unix.CLONE_NEWNET) == nil {
			cookie = netnsCookie()
		}
	})
	return cookie
}

// WrittenBeforeBoot reports whether the journal was last written before this boot.
func (j *Journal) WrittenBeforeBoot() bool {
	st, err := j.file.Stat()
	if err != nil {
		return false
	}
	return st.ModTime().Before(booted().Add(-time.Minute)) // the clock may have been set since
}

// booted returns the time of boot by today's clock.
func booted() time.Time { return time.Now().Add(-time.Duration(rtnl.BootTime())) }
