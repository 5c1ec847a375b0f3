// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/control"
	"nicteam/internal/host/journal"
)

// Dirs are the directories of nicteam; all three must be set.
type Dirs struct {
	RunDir    string // sockets and locks
	StateDir  string // journals, logs, history and events
	ConfigDir string // TEAM.yaml
}

// Socket is the unix socket of the control API.
func (d Dirs) Socket(name string) string { return filepath.Join(d.RunDir, name+".sock") }

// LogFile is the log of a detached process.
func (d Dirs) LogFile(name string) string { return filepath.Join(d.StateDir, name+".log") }

func (d Dirs) lockFile(name string) string { return filepath.Join(d.RunDir, name+".lock") }

// KeptConfig is the configuration that a keeper keeps while the team has no process.
func (d Dirs) KeptConfig(name string) string { return filepath.Join(d.RunDir, "."+name+".keeper.yaml") }

func (d Dirs) keeperLockFile(name string) string {
	return filepath.Join(d.RunDir, name+".keeper")
}

func (d Dirs) journalFile(name string) string { return filepath.Join(d.StateDir, name+".journal") }
func (d Dirs) configFile(name string) string  { return filepath.Join(d.ConfigDir, name+".yaml") }

// RunningConfig is the configuration of the running team, with every live change.
func (d Dirs) RunningConfig(name string) string { return filepath.Join(d.RunDir, name+".yaml") }

// EditedFile is the file that people edit to change a team: its TEAM.yaml, of a team without one that of the running
// team.
func (d Dirs) EditedFile(name string) string {
	if d.Persistent(name) {
		return d.configFile(name)
	}
	return d.RunningConfig(name)
}

// LastConfig is the configuration with which the team last ran, for a start with a TEAM.yaml that is not valid.
func (d Dirs) LastConfig(name string) string { return filepath.Join(d.StateDir, name+".last.yaml") }

// ConfigFiles are the files that follow live changes: RunningConfig and, if the team is persistent, its TEAM.yaml and
// LastConfig.
func (d Dirs) ConfigFiles(name string) []string {
	files := []string{d.RunningConfig(name)}
	for _, path := range []string{d.configFile(name), d.LastConfig(name)} {
		if _, err := os.Stat(path); err == nil {
			files = append(files, path)
		}
	}
	return files
}

// flagDir is a directory and the flag that sets it.
type flagDir struct{ flag, dir string }

func (d Dirs) all() []flagDir {
	return []flagDir{{"run-dir", d.RunDir}, {"state-dir", d.StateDir}, {"config-dir", d.ConfigDir}}
}

// Flags are the flags of `nicteam` that set the directories.
func (d Dirs) Flags() (args []string) {
	for _, e := range d.all() {
		args = append(args, "--"+e.flag, e.dir)
	}
	return args
}

// Args are the arguments of `nicteam` for a process of a team: run or keeper, with the team's configuration.
func (d Dirs) Args(command, team, config string, verbose bool) []string {
	args := append([]string{command, team, "--config", config}, d.Flags()...)
	if verbose {
		args = append(args, "-v")
	}
	return args
}

// check refuses directories that other users could have written to. It changes nothing.
func (d Dirs) check() error {
	for _, e := range d.all() {
		if err := checkTrusted(e.dir); err != nil {
			return e.problem(err)
		}
	}
	return nil
}

// Make creates the directories, 0750, and verifies that only root and this user can write to them and that there is
// room.
func (d Dirs) Make() error { return d.make(true) }

// MakeQuickly is Make without looking for room, which takes a write to each disk.
func (d Dirs) MakeQuickly() error { return d.make(false) }

func (d Dirs) make(room bool) error {
	if err := d.check(); err != nil {
		return err
	}
	for _, e := range d.all() {
		err := os.MkdirAll(e.dir, 0o750)
		if err == nil {
			err = closeToOthers(e.dir)
		}
		if err == nil && room {
			err = writable(e.dir)
		}
		if err != nil {
			return e.problem(err)
		}
	}
	d.openToGroup()
	return nil
}

// openToGroup gives the directory of the sockets to control.Group, and with the set-group-ID bit what is made in it. A
// process without the right to leaves it as it is. The other directories stay root's alone: who can open StateDir can
// hold the lock of Exclusive.
func (d Dirs) openToGroup() {
	g, err := user.LookupGroup(control.Group)
	if err != nil {
		return
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return
	}
	st, err := lstat(d.RunDir)
	const mode = 0o750 | unix.S_ISGID
	if err != nil || st.Gid == uint32(gid) && st.Mode&mode == mode {
		return
	}
	if st.Gid == uint32(gid) || os.Chown(d.RunDir, -1, gid) == nil {
		_ = os.Chmod(d.RunDir, 0o750|os.ModeSetgid)
	}
}

func (f flagDir) problem(err error) *api.Problem {
	if u, ok := errors.AsType[*untrusted](err); ok {
		return u.problem(f)
	}
	p := &api.Problem{Kind: api.Failed, What: "prepare " + f.dir, Why: err.Error(),
		Fix: "make room there, or name another directory with --" + f.flag, Err: err}
	if os.IsPermission(err) {
		p.Kind, p.Fix = api.NotPermitted, "run it as root: sudo nicteam …"
	}
	return p
}

// writable writes, syncs and removes a small file in dir.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if e := os.Remove(f.Name()); err == nil {
		err = e
	}
	return err
}

// teams returns the teams that run or left a journal to restore, sorted.
func (d Dirs) teams() ([]string, error) {
	names, err := d.present()
	if err != nil {
		return nil, err
	}
	left, err := d.journals()
	if err != nil {
		return nil, err
	}
	names = append(names, left...)
	sort.Strings(names)
	return slices.Compact(names), nil
}

// present returns the teams that have a socket or a keeper, which those see who may look.
func (d Dirs) present() ([]string, error) {
	running, err := teamsWith(d.RunDir, ".sock")
	if err != nil {
		return nil, control.UnreadableRunDir(d.RunDir, err)
	}
	kept, err := teamsWith(d.RunDir, ".keeper")
	if err != nil {
		return nil, control.UnreadableRunDir(d.RunDir, err)
	}
	names := append(running, slices.DeleteFunc(kept, func(name string) bool { return !HasKeeper(d, name) })...)
	sort.Strings(names)
	return slices.Compact(names), nil
}

// journals returns the teams that left a journal to restore, which only root sees.
func (d Dirs) journals() ([]string, error) {
	left, err := teamsWith(d.StateDir, ".journal")
	if err != nil {
		return nil, control.Unreadable(d.StateDir, err)
	}
	return slices.DeleteFunc(left, func(name string) bool { return journal.Ended(d.StateDir, name) }), nil
}

// teamsWith returns the names of the files in dir with that suffix, without it, sorted. No such directory: none.
func teamsWith(dir string, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && name != "" && name[0] != '.' {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

// HistoryFile has the traffic history for the next process of the team.
func (d Dirs) HistoryFile(name string) string { return filepath.Join(d.StateDir, name+".history") }

// EventsFile has the events for the next process of the team, one JSON document a line.
func (d Dirs) EventsFile(name string) string { return filepath.Join(d.StateDir, name+".events") }

// LeaseFile has the DHCP leases of the team's own clients for the next process or boot.
func (d Dirs) LeaseFile(name string) string { return filepath.Join(d.StateDir, name+".leases") }

// RemoveHistory removes history, events and leases.
func (d Dirs) RemoveHistory(name string) {
	for _, path := range []string{d.HistoryFile(name), d.EventsFile(name), d.LeaseFile(name)} {
		atomicfile.Remove(path)
	}
}

// Persistent reports whether the team has a TEAM.yaml, so that it starts again. Of other teams a stop leaves nothing.
func (d Dirs) Persistent(name string) bool {
	_, err := os.Stat(d.configFile(name))
	return err == nil
}

// LACPStateFile has the LACP state for the next process of the team. It lies in RunDir: partners forget this host
// during a boot.
func (d Dirs) LACPStateFile(name string) string { return filepath.Join(d.RunDir, name+".lacp") }

// ProcessFile tells the next process of the team of the one before.
func (d Dirs) ProcessFile(name string) string { return filepath.Join(d.RunDir, name+".process") }

// CheckpointFile has the state of the control loop for the next process of the team.
func (d Dirs) CheckpointFile(name string) string { return filepath.Join(d.RunDir, name+".state") }

// RemoveCheckpoint makes the next process start cold.
func (d Dirs) RemoveCheckpoint(name string) { atomicfile.Remove(d.CheckpointFile(name)) }

// RemoveLACPState makes the next process negotiate from the start, and start cold.
func (d Dirs) RemoveLACPState(name string) {
	atomicfile.Remove(d.LACPStateFile(name))
	d.RemoveCheckpoint(name)
}
