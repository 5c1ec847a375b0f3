// SPDX-License-Identifier: MIT

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The rights to change files, by the version of Landlock's ABI that has them. Reading stays free.
var landlockRights = []uint64{
	1: unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM,
	2: unix.LANDLOCK_ACCESS_FS_REFER,
	3: unix.LANDLOCK_ACCESS_FS_TRUNCATE,
}

// ofFiles are the rights that a rule for a file may have.
const ofFiles = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE

// WriteOnly lets this process change nothing but the files of the paths, and what is below them. Paths that do not
// exist are left out. The process needs no_new_privs (KeepCapabilities).
//
// A rule is about the directory that is at the path now: one that is removed and made again cannot be written to. The
// kernel forgets entries of /proc/sys that nobody uses and makes them anew, so the paths stay open.
func WriteOnly(paths ...string) error {
	version, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return fmt.Errorf("landlock: %w", e)
	}
	var rights uint64
	for v, more := range landlockRights {
		if v <= int(version) {
			rights |= more
		}
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: rights}
	rules, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)),
		unsafe.Sizeof(attr.Handled_access_fs), 0) // the first field is all that version 1 knows
	if e != 0 {
		return fmt.Errorf("landlock: make rules: %w", e)
	}
	defer func() { _ = unix.Close(int(rules)) }()
	for _, path := range paths {
		if err := allowBelow(int(rules), path, rights); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("landlock: allow %s: %w", path, err)
		}
	}
	if err := allThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, rules); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}

// allowBelow adds a rule. The descriptor of path stays open.
func allowBelow(rules int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
	if e != 0 {
		return errors.Join(e, unix.Close(fd))
	}
	return nil
}
