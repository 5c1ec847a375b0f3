// SPDX-License-Identifier: MIT

package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup is one of the team, below the root of a hierarchy (cgroups(7)).
type cgroup struct {
	root int // descriptor
	name string
}

// Detach protects this process, and its later children, from what may end it beside its own faults.
//
// It moves into cgroups of the team: those of the caller may be killed as a whole when a session, a job or a unit ends.
// The OOM killer takes others first: without these processes a host that is short of memory is unreachable, too. What
// is not permitted is left out. end removes the cgroups.
func Detach(team string, log *slog.Logger) (end func()) {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0)
	var own []cgroup
	root, err := unifiedRoot()
	if err == nil {
		var c cgroup
		if c, err = newCgroup(root, team); err == nil {
			own = append(own, c)
		}
	}
	if err != nil {
		log.Info("the team's process stays in the cgroup of its creator", "err", err)
	}
	// Beside version 1 of cgroups, systemd may count processes in a hierarchy of its own.
	if root, err := unix.Open("/sys/fs/cgroup/systemd", unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		if c, err := newCgroup(root, team); err == nil {
			own = append(own, c)
		}
	}
	return func() {
		for _, c := range own {
			c.remove()
		}
	}
}

// unifiedRoot opens the root of the unified hierarchy, by a mount of its own that is attached nowhere: in a mount
// namespace, as `ip netns exec` makes one, /sys/fs/cgroup may be empty. Before Linux 5.2 it opens that directory.
func unifiedRoot() (fd int, err error) {
	if fs, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC); err == nil {
		defer func() { _ = unix.Close(fs) }()
		if err = unix.FsconfigCreate(fs); err == nil {
			if fd, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0); err == nil {
				return fd, nil
			}
		}
	}
	for _, path := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return unix.Open(path, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
	}
	return -1, errors.New("no unified cgroup hierarchy")
}

// newCgroup makes a cgroup and joins it. It takes root over. A name that is in use belongs to a team of that name in
// another network namespace.
func newCgroup(root int, team string) (c cgroup, err error) {
	c = cgroup{root, "nicteam-" + team}
	if c.isOwn() {
		return c, nil
	}
	_ = unix.Unlinkat(root, c.name, unix.AT_REMOVEDIR) // of a keeper that was killed
	err = unix.Mkdirat(root, c.name, 0o755)
	if errors.Is(err, unix.EEXIST) {
		c.name = c.withPID()
		err = unix.Mkdirat(root, c.name, 0o755)
	}
	if err == nil {
		if err = c.join(c.name); err != nil {
			_ = unix.Unlinkat(root, c.name, unix.AT_REMOVEDIR)
		}
	}
	if err != nil {
		_ = unix.Close(root)
		return c, fmt.Errorf("cgroup %s: %w", c.name, err)
	}
	return c, nil
}

// isOwn reports whether this process is in the cgroup since before its program was replaced.
func (c *cgroup) isOwn() bool {
	b, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		name := strings.TrimSpace(line[strings.LastIndexByte(line, '/')+1:])
		if name == c.name || name == c.withPID() {
			c.name = name
			return unix.Faccessat(c.root, name, unix.F_OK, 0) == nil
		}
	}
	return false
}

func (c *cgroup) withPID() string { return c.name + "-" + strconv.Itoa(os.Getpid()) }

func (c cgroup) join(name string) error {
	fd, err := unix.Openat(c.root, name+"/cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	_, err = unix.Write(fd, []byte("0"))
	return err
}

// remove moves this process to the root, as a cgroup with processes cannot be removed. A child leaves its cgroup a
// moment after its end.
func (c cgroup) remove() {
	_ = c.join(".")
	for range 20 {
		if err := unix.Unlinkat(c.root, c.name, unix.AT_REMOVEDIR); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = unix.Close(c.root)
}
