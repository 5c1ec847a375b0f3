// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// user is somebody on box.
type user int

const (
	root user = iota
	member
	stranger
)

var userNames = []string{"root", "a member of the group", "a stranger"}

// The group that may look at teams, and the others' user and group.
const (
	lookersGroup = "4243"
	nobodyID     = "65534"
)

// command is a command that the user runs.
func (u user) command(args ...string) []string {
	switch u {
	case member:
		return append([]string{"setpriv", "--reuid", nobodyID, "--regid", nobodyID, "--groups", lookersGroup}, args...)
	case stranger:
		return append([]string{"setpriv", "--reuid", nobodyID, "--regid", nobodyID, "--clear-groups"}, args...)
	}
	return args
}

// rights is a line of testdata/rights.txt.
type rights struct {
	args []string
	code [3]int // by user; -1: not tried
}

func readRights(t *testing.T, dir string) (list []rights) {
	t.Helper()
	b, err := os.ReadFile("testdata/rights.txt")
	labtest.Must(t, err)
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(strings.ReplaceAll(line, "$DIR", dir))
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		r := rights{args: words[4:]}
		for u := range r.code {
			r.code[u] = -1
			if words[u] != "-" {
				r.code[u], err = strconv.Atoi(words[u])
				labtest.Must(t, err)
			}
		}
		list = append(list, r)
	}
	return list
}

// TestRights: root changes teams, a member of the group nicteam looks at them, and a stranger is told that he may not,
// never that there is no team. Without the group on the host only root looks, and that is said. Nobody but root can
// open a lock.
func TestRights(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "setpriv", "util-linux")
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	dir := t.TempDir()
	labtest.Must(t, os.Chmod(filepath.Dir(dir), 0o755))
	binary := copyForAll(t, dir)
	config := "team: " + teamName + "\nmembers: [eth1, eth2]\nhash: layer2\nlink_watch: carrier\n"
	labtest.Must(t, os.WriteFile(dir+"/team0.yaml", []byte(config), 0o644))
	as := func(u user, args ...string) result {
		cmd := w.box.Command(u.command(args...)[0], u.command(args...)[1:]...)
		cmd.Env = append(os.Environ(), "EDITOR=true", "VISUAL=")
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		return result{Out: out.String(), Err: errs.String(), Code: cmd.ProcessState.ExitCode()}
	}
	try := func(u user, r rights) {
		t.Helper()
		if r.code[u] < 0 {
			return
		}
		got := as(u, append([]string{binary}, r.args...)...)
		what := "nicteam " + strings.Join(r.args, " ") + ", run by " + userNames[u]
		if got.Code != r.code[u] {
			t.Errorf("%s: exit %d, want %d\n%s%s", what, got.Code, r.code[u], got.Out, got.Err)
		} else if got.Code != 0 && slices.Contains(r.args, "--json") {
			checkProblem(t, what, got)
		} else if got.Code != 0 {
			checkRefused(t, got, r.code[u])
		}
		if all := strings.ToLower(got.Out + got.Err); strings.Contains(all, "no team") {
			t.Errorf("%s: it says that there is no team:\n%s%s", what, got.Out, got.Err)
		}
	}

	w.sh("chmod 750 /run/nicteam /var/lib/nicteam /etc/nicteam")
	w.create(nics(2))
	checkRefused(t, as(stranger, binary, "status"), 4, "no group nicteam", "sudo nicteam")
	w.sh("cp /etc/group " + dir + "/group && echo nicteam:x:" + lookersGroup + ": >>" + dir + "/group && " +
		"mount --bind " + dir + "/group /etc/group")
	checkRefused(t, as(stranger, binary, "status", teamName), 4, "sudo nicteam restart TEAM")
	w.nicteam("restart", teamName)
	checkRefused(t, as(stranger, binary, "status", teamName), 4, "usermod -aG nicteam ")
	checkModes(t, w.sh("find /run/nicteam /var/lib/nicteam /etc/nicteam -printf '%m %U:%G %p\n'"))

	table := readRights(t, dir)
	labtest.Eventually(t, "a second of history", func() bool {
		return w.try("export", teamName, "--format", "csv", "-o", "-").Code == 0
	})
	was := w.status()
	for _, u := range []user{stranger, member} {
		for _, r := range table {
			try(u, r)
		}
		// What the kernel tells everybody is completed, and nothing is said of the rest.
		r := as(u, binary, "__complete", "create", "team1", "eth")
		if r.Code != 0 || !strings.Contains(r.Out, "eth3\t") || strings.Contains(r.Err, "permission") {
			t.Errorf("completion for %s: exit %d, %s%s", userNames[u], r.Code, r.Out, r.Err)
		}
	}
	r := as(member, binary, "list")
	if !strings.Contains(r.Out, teamName) || !strings.Contains(r.Out, "team "+teamName) ||
		!strings.Contains(r.Err, "only root may read") {
		t.Errorf("list for a member: %s%s", r.Out, r.Err)
	}
	// Who can read the directories is told the same.
	w.sh("chmod 755 /run/nicteam /var/lib/nicteam /etc/nicteam")
	verbs := map[string]bool{}
	for _, r := range table {
		if verb := strings.Join(r.args[:min(1, len(r.args))], ""); !verbs[verb] {
			verbs[verb] = true
			try(stranger, r)
		}
	}
	if is := w.status(); is.PID != was.PID || is.State != was.State || is.Settings.Hash != was.Settings.Hash {
		t.Errorf("the team was %s with %s, process %d, and is %s with %s, process %d", was.State, was.Settings.Hash,
			was.PID, is.State, is.Settings.Hash, is.PID)
	}
	for _, r := range table {
		try(root, r)
	}
}

// checkProblem checks that an error is an object, with the exit code.
func checkProblem(t *testing.T, what string, r result) {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.Err), &p); err != nil || p.Code != r.Code || p.Why == "" || p.Fix == "" {
		t.Errorf("%s: exit %d, and the problem is %+v (%v)", what, r.Code, p, err)
	}
}

// copyForAll copies the binary to where every user may run it.
func copyForAll(t *testing.T, dir string) string {
	t.Helper()
	from, err := os.Open(program(t))
	labtest.Must(t, err)
	defer from.Close()
	path := filepath.Join(dir, "nicteam")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	labtest.Must(t, err)
	_, err = io.Copy(to, from)
	labtest.Must(t, err)
	labtest.Must(t, to.Close())
	return path
}

// checkModes checks lines of mode, user:group and path: what the group gets is the run directory without its locks, and
// of that it may write to sockets alone. What was there before the group is root's.
func checkModes(t *testing.T, list string) {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		mode, owner, path := f[0], f[1], f[2]
		seen[filepath.Ext(path)] = true
		want, of := "640", owner
		switch {
		case path == "/run/nicteam":
			want, of = "2750", "0:"+lookersGroup
		case !strings.HasPrefix(path, "/run/nicteam/"):
			of = "0:0"
			if filepath.Ext(path) == "" {
				want = "750"
			}
		case strings.HasSuffix(path, ".sock"):
			want, of = "660", "0:"+lookersGroup
		case strings.HasSuffix(path, ".lock"), strings.HasSuffix(path, ".keeper"):
			want = "600"
		}
		if mode != want || owner != of {
			t.Errorf("%s is %s of %s, want %s of %s", path, mode, owner, want, of)
		}
	}
	for _, ext := range []string{".sock", ".lock", ".keeper", ".yaml", ".journal", ".log"} {
		if !seen[ext] {
			t.Errorf("no file *%s in\n%s", ext, list)
		}
	}
}
