package host

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
	"nicteam/team"
)

// where is where a journal means what it says.
type where struct {
	boot   string // boot id
	netns  uint64 // inode of the network namespace
	cookie uint64 // of the network namespace, 0 unknown
}

func (b *beginRecord) where() where { return where{b.Boot, b.NetNS, b.Cookie} }

// same tells network namespaces of one boot apart. Another may come to have the inode of one that is gone.
func (w where) same(o where) bool {
	return w.netns == o.netns && (w.cookie == o.cookie || w.cookie == 0 || o.cookie == 0)
}

// whereabouts is where the calling thread is.
func whereabouts() (where, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return where{}, fmt.Errorf("read boot id: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return where{}, fmt.Errorf("read network namespace: %w", err)
	}
	return where{strings.TrimSpace(string(b)), st.Ino, netnsCookie()}, nil
}

// netnsCookie is a number that no other network namespace of this boot has had or gets, 0 before Linux 5.14.
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

// lives reports whether a network namespace of this boot that is not ours is to be seen anywhere: a process is in it, or it has a
// place in the file system, as ip netns and container engines give it.
func (w where) lives() bool {
	name := fmt.Sprintf("net:[%d]", w.netns)
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
		if cookie := cookieAt(p); cookie != 0 && w.cookie != 0 {
			return cookie == w.cookie // else another has its inode by now
		}
	}
	return len(paths) > 0
}

// mounted is where a namespace is bound in our mounts, or in those of the first process that can be seen.
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

// cookieAt is the cookie of a network namespace, 0 where it cannot be had.
func cookieAt(path string) uint64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	got := make(chan uint64)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends, for it is in the wrong namespace
		if unix.Setns(int(f.Fd()), unix.CLONE_NEWNET) != nil {
			got <- 0
			return
		}
		got <- netnsCookie()
	}()
	return <-got
}

// writtenBefore reports whether a file was last written before this boot.
func writtenBefore(f *os.File) bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	return st.ModTime().Before(booted().Add(-time.Minute)) // clocks are set
}

// booted is when this boot was, by the clock of today.
func booted() time.Time { return time.Now().Add(-time.Duration(rtnl.BootTime())) }

func newerProblem(name, path string, err error) *team.Problem {
	return &team.Problem{
		Kind: team.Conflict, Err: err, What: "use journal of " + name,
		Why: path + ": " + err.Error() + "; this one would lose what it does not know, so it changes nothing",
		Fix: "use the program that wrote it, nicteam restore " + name + " by that one; or remove the file if nothing of the team is left",
	}
}

func elsewhereProblem(name, path string, of, here where) *team.Problem {
	return &team.Problem{
		Kind: team.Conflict, What: "use journal of " + name,
		Why: path + ": the team lives in another network namespace (inode " + strconv.FormatUint(of.netns, 10) + ", this one is " + strconv.FormatUint(here.netns, 10) + ")",
		Fix: "run the command in that namespace, or give this one a state directory of its own with --state-dir",
	}
}

func damagedProblem(name, path, why string) *team.Problem {
	return &team.Problem{
		Kind: team.Failed, What: "use journal of " + name,
		Why: path + " is damaged: " + why + "; adapter, addresses and journal stay as they are",
		Fix: "put the addresses of " + name + " on a NIC by hand (ip address, ip route), then: ip link del " + name + "; and remove the file",
	}
}
