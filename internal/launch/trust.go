package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/team"
)

// A team's process writes as root to names that everybody knows. Where somebody else may put a link there, he says which
// file is written. So its directories, and every directory and link on the way to them, belong to root or to the user of
// the process, and only these can put anything there; and no file of ours is opened through a link.

// maxLinks bounds links that lead to links.
const maxLinks = 40

// checkTrusted refuses a path of which a part, as far as it is there, is in the hands of others. A directory of ours at its end that is
// open to others and empty is none: claim shuts it before it is used.
func checkTrusted(dir string) error {
	links := 0
	at, rest := "/", split(dir)
	for {
		st, err := lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // what is not there we make ourselves
		}
		if err != nil {
			return err
		}
		if !trustedUID(st.Uid) {
			return &untrusted{at, fmt.Sprintf("it belongs to uid %d", st.Uid)}
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			// A directory like /tmp lets nobody replace what belongs to others, so it may be on the way.
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

// closeToOthers shuts a directory of ours to others where they may write to it and have not: one that was mounted for us, as container
// engines do, is open to everybody.
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
	if !empty(dir) { // somebody was faster
		return &untrusted{dir, who + " could write to it a moment ago"}
	}
	return nil
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// untrusted is a directory or link that others have a say in.
type untrusted struct{ path, why string }

func (f *untrusted) Error() string { return f.path + ": " + f.why }

// problem is what users read of it; flag names another place.
func (f *untrusted) problem(dir, flag string) *team.Problem {
	return &team.Problem{Kind: team.NotPermitted, What: "use " + dir,
		Why: fmt.Sprintf("%s is not safe: %s, who could have files of this host overwritten", f.path, f.why),
		Fix: fmt.Sprintf("chown root:root %s; chmod go-w %s; or name another place with --%s", f.path, f.path, flag), Err: f}
}

func split(path string) (parts []string) {
	for _, p := range strings.Split(filepath.Clean("/"+path), "/") {
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

func trustedUID(uid uint32) bool { return uid == 0 || uid == uint32(os.Geteuid()) }

// otherWriters says who else may write to a directory, "" for nobody.
func otherWriters(st unix.Stat_t) string {
	switch {
	case st.Mode&unix.S_IWOTH != 0:
		return "everybody"
	case st.Mode&unix.S_IWGRP != 0 && st.Gid != 0 && st.Gid != uint32(os.Getegid()):
		return fmt.Sprintf("group %d", st.Gid)
	}
	return ""
}

// OpenOwned opens, or makes, a file of ours in a trusted directory. What somebody put there before it was one is not
// written to: a link, a pipe, a second name of another file.
func OpenOwned(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o640)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			err = &fs.PathError{Op: "open", Path: path, Err: errors.New("it is a link, and links are not followed here")}
		}
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 || !trustedUID(st.Uid)) {
		err = errors.New("it is not a plain file of this user with one name")
	}
	if err != nil {
		_ = f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
}
