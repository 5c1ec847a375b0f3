// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is one of the keeper's own, below the root of the unified hierarchy (cgroups(7)): that of the caller may be
// killed as a whole when a session, a job or a unit ends.
//
// The keeper is made in it (CLONE_INTO_CGROUP). To move a process that lives waits for every CPU, on a busy host for
// seconds; so the keeper cannot leave it either, and whoever sees the keeper's end removes it, or the next start.
type cgroup struct {
	root, dir int
}

// newCgroup makes a cgroup for a team. A name that is in use belongs to a team of that name in another network
// namespace.
func newCgroup(team string) (c cgroup, err error) {
	root, err := unifiedRoot()
	if err != nil {
		return c, err
	}
	c = cgroup{root, -1}
	base := cgroupName(team)
	for n := range maxCgroups {
		name := base
		if n > 0 {
			name += "." + strconv.Itoa(n)
		}
		_ = unix.Unlinkat(root, name, unix.AT_REMOVEDIR) // of a keeper that has ended; not one with processes
		err = unix.Mkdirat(root, name, 0o755)
		if err == nil {
			c.dir, err = unix.Openat(root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		if !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	if err != nil {
		c.close()
		return c, fmt.Errorf("make cgroup %s: %w", base, err)
	}
	return c, nil
}

// maxCgroups bounds the names that are tried.
const maxCgroups = 64

func cgroupName(team string) string { return "nicteam-" + team }

func (c cgroup) close() {
	if c.dir >= 0 {
		_ = unix.Close(c.dir)
	}
	_ = unix.Close(c.root)
}

// join moves a process into the cgroup, on kernels before 5.7.
func (c cgroup) join(pid int) error {
	fd, err := unix.Openat(c.dir, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.Write(fd, []byte(strconv.Itoa(pid)))
	return err
}

// removeCgroups removes the cgroups of a team that have no processes. A process leaves its cgroup a moment after it has
// closed its files.
func removeCgroups(team string) {
	root, err := unifiedRoot()
	if err != nil {
		return
	}
	dir := os.NewFile(uintptr(root), "cgroup")
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		suffix, ours := strings.CutPrefix(name, cgroupName(team))
		if _, err := strconv.ParseUint(strings.TrimPrefix(suffix, "."), 10, 16); !ours || suffix != "" && err != nil {
			continue
		}
		for range 10 {
			if unix.Unlinkat(root, name, unix.AT_REMOVEDIR) == nil {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// unifiedRoot opens the root of the unified hierarchy, by a mount of its own that is attached nowhere: in a mount
// namespace, as `ip netns exec` makes one, /sys/fs/cgroup may be empty. Before Linux 5.2 it opens that directory.
func unifiedRoot() (fd int, err error) {
	if fs, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC); err == nil {
		defer func() { _ = unix.Close(fs) }()
		if err = unix.FsconfigCreate(fs); err == nil {
			if mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0); err == nil {
				defer func() { _ = unix.Close(mount) }()
				return unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			}
		}
	}
	for _, path := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
	}
	return -1, errors.New("no unified cgroup hierarchy")
}
