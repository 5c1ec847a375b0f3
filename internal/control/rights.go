// SPDX-License-Identifier: MIT

package control

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// Group is the group of those who may look at teams and change nothing, where the host has it.
const Group = "nicteam"

const asRoot = "run it as root: sudo nicteam …"

// mayNotLook is the problem of a user who may not open a team's socket, or the directory of the sockets. Whether there
// is such a team is not for him to know.
func mayNotLook(what, why, runDir, socket string, err error) *api.Problem {
	return &api.Problem{Kind: api.NotPermitted, What: what, Why: why, Fix: lookFix(runDir, socket), Err: err}
}

// lookFix says how this user gets to look at a team.
func lookFix(runDir, socket string) string {
	g, err := user.LookupGroup(Group)
	if err != nil {
		return asRoot + "; this host has no group " + Group + ", whose members could look"
	}
	if !hasGroup(runDir, g.Gid) || !hasGroup(socket, g.Gid) {
		return asRoot + "; members of the group " + Group + " may look after: sudo nicteam restart TEAM"
	}
	name, listed := "USER", false
	if u, err := user.Current(); err == nil {
		ids, _ := u.GroupIds()
		name, listed = u.Username, slices.Contains(ids, g.Gid)
	}
	mine, _ := os.Getgroups()
	switch gid, _ := strconv.Atoi(g.Gid); {
	case slices.Contains(append(mine, os.Getegid()), gid):
		return asRoot
	case listed:
		return asRoot + "; or log in again: this session is older than your place in the group " + Group
	}
	return asRoot + "; or look as a member of the group " + Group + ": sudo usermod -aG " + Group + " " + name +
		", and log in again"
}

// hasGroup reports whether a file has that group. Of one that cannot be found nothing else is known.
func hasGroup(path, gid string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) != nil || strconv.FormatUint(uint64(st.Gid), 10) == gid
}

// notWriter is the problem of a user who may look at a team and not change it.
func notWriter(what string) *api.Problem {
	return &api.Problem{Kind: api.NotPermitted, What: what,
		Why: "only root and the user of the team's process may change it", Fix: asRoot}
}

// MayChange returns the problem of a user whose changes the team would refuse, for verbs that do more than to ask it.
// what names the change.
func (c *Client) MayChange(what string) error {
	var st unix.Stat_t
	if err := unix.Stat(c.path, &st); err != nil || os.Geteuid() == 0 || uint32(os.Geteuid()) == st.Uid {
		return nil // without a socket the request says why
	}
	return notWriter(what)
}

// UnreadableRunDir returns the problem of a directory of sockets that cannot be read.
func UnreadableRunDir(dir string, err error) *api.Problem {
	p := Unreadable(dir, err)
	if p.Kind == api.NotPermitted {
		p.Fix = lookFix(dir, filepath.Join(dir, ".none"))
	}
	return p
}

// Unreadable returns the problem of one of our directories that cannot be read.
func Unreadable(dir string, err error) *api.Problem {
	p := &api.Problem{Kind: api.Failed, What: "cannot read " + dir, Why: err.Error(),
		Fix: "choose another directory: nicteam help lists the flags", Err: err}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		p.Why = pe.Err.Error()
	}
	if errors.Is(err, fs.ErrPermission) {
		p.Kind, p.Fix = api.NotPermitted, asRoot
	}
	return p
}
