// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// A team's process writes as root to well-known names. A user who could put a link there would choose which file root
// overwrites. So the directories, and every directory and link on the way to them, must belong to root or to the user
// of the process and be writable by nobody else, and no file is opened through a link.

// maxLinks bounds a chain of links.
const maxLinks = 40

// checkTrusted refuses a path if another user controls a part of it that exists. It accepts a directory of ours at its
// end that others may write to while that is empty: closeToOthers closes it before it is used.
func checkTrusted(dir string) error {
	links := 0
	at, rest := "/", split(dir)
	for {
		st, err := lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // Make creates the rest
		}
		if err != nil {
			return err
		}
		if !trustedUID(st.Uid) {
			return &untrusted{at, fmt.Sprintf("it belongs to uid %d", st.Uid)}
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			// A sticky directory (/tmp) lets nobody replace what belongs to others: accepted on the way.
			onTheWay := len(rest) > 0 && st.Mode&unix.S_ISVTX != 0
			if who := otherWriters(st); who != "" && !onTheWay && !(len(rest) == 0 && empty(at)) {
				return &untrusted{at, who + " may write to it"}
			}
			if len(rest) == 0 {
				return nil
			}
			at, rest = filepath.Join(at, rest[0]), rest[1:]
		case unix.S_IFLNK:
			if links++; links > maxLinks {
				return &fs.PathError{Op: "open", Path: dir, Err: unix.ELOOP}
			}
			target, err := os.Readlink(at)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(at), target)
			}
			at, rest = "/", append(split(target), rest...)
		default:
			return &fs.PathError{Op: "open", Path: at, Err: unix.ENOTDIR}
		}
	}
}

// closeToOthers sets mode 0750 on a directory of ours that others may write to, if they have not: container engines
// mount directories that are open to everybody.
func closeToOthers(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	who := otherWriters(st)
	if who == "" {
		return nil
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		return err
	}
	if !empty(dir) { // written to meanwhile
		return &untrusted{dir, who + " could write to it a moment ago"}
	}
	return nil
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// untrusted is a directory or link that another user controls.
type untrusted struct{ path, why string }

func (u *untrusted) Error() string { return u.path + ": " + u.why }

func (u *untrusted) problem(f flagDir) *api.Problem {
	return &api.Problem{Kind: api.NotPermitted, What: "use " + f.dir,
		Why: fmt.Sprintf("%s is not safe: %s, who could have files of this host overwritten", u.path, u.why),
		Fix: fmt.Sprintf("chown root:root %s; chmod go-w %s; or set another with --%s", u.path, u.path, f.flag),
		Err: u}
}

// split returns the elements of an absolute path.
func split(path string) (parts []string) {
	for p := range strings.SplitSeq(filepath.Clean("/"+path), "/") {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return parts
}

func lstat(path string) (st unix.Stat_t, err error) {
	if err := unix.Lstat(path, &st); err != nil {
		return st, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return st, nil
}

// trustedUID reports whether uid is root or the user of this process.
func trustedUID(uid uint32) bool { return uid == 0 || uid == uint32(os.Geteuid()) }

// otherWriters names who else may write to a directory, "" for nobody.
func otherWriters(st unix.Stat_t) string {
	switch {
	case st.Mode&unix.S_IWOTH != 0:
		return "everybody"
	case st.Mode&unix.S_IWGRP != 0 && st.Gid != 0 && st.Gid != uint32(os.Getegid()):
		return fmt.Sprintf("group %d", st.Gid)
	}
	return ""
}

// OpenOwned opens or creates a file of ours in a trusted directory. It refuses links, pipes and second names of a file,
// which may date from before the directory was trusted.
func OpenOwned(path string, flags int) (*os.File, error) { return openOwned(path, flags, 0o640) }

// openOwned is OpenOwned with the mode of a file that it creates.
func openOwned(path string, flags int, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, mode)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			err = &fs.PathError{Op: "open", Path: path, Err: errors.New("is a symbolic link")}
		}
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 || !trustedUID(st.Uid)) {
		err = errors.New("is not a regular file of this user with one name")
	}
	if err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}
