package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"nicteam/internal/atomicfile"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/team"
)

// Dirs are the directories of nicteam; all three must be set.
type Dirs struct {
	RunDir    string // sockets and locks
	StateDir  string // journals, logs and the past
	ConfigDir string // TEAM.yaml
}

func (p Dirs) Socket(name string) string     { return filepath.Join(p.RunDir, name+".sock") }
func (p Dirs) lockFile(name string) string   { return filepath.Join(p.RunDir, name+".lock") }
func (p Dirs) LogFile(name string) string    { return filepath.Join(p.StateDir, name+".log") }
func (p Dirs) configFile(name string) string { return filepath.Join(p.ConfigDir, name+".yaml") }

func (p Dirs) journalFile(name string) string {
	return filepath.Join(p.StateDir, name+".journal")
}

// RunningConfig is where a team's process finds its settings as they are now.
func (p Dirs) RunningConfig(name string) string { return filepath.Join(p.RunDir, name+".yaml") }

// ConfigFiles are the files that follow the settings of a running team: the one for a next start by hand, and
// where there is one the one for a next boot.
func (p Dirs) ConfigFiles(name string) []string {
	files := []string{p.RunningConfig(name)}
	if _, err := os.Stat(p.configFile(name)); err == nil {
		files = append(files, p.configFile(name))
	}
	return files
}

// flagDir is a directory and the flag that names it.
type flagDir struct{ flag, dir string }

func (p Dirs) all() []flagDir {
	return []flagDir{{"run-dir", p.RunDir}, {"state-dir", p.StateDir}, {"config-dir", p.ConfigDir}}
}

// check refuses directories in which others have had a say. It changes nothing.
func (p Dirs) check() error {
	for _, d := range p.all() {
		err := checkTrusted(d.dir)
		if f, ok := errors.AsType[*untrusted](err); ok {
			return f.problem(d.dir, d.flag)
		}
		if err != nil {
			return dirProblem(d.dir, d.flag, err)
		}
	}
	return nil
}

// Make creates the directories, 0750, and proves that they are nobody else's and can be written before anything else is changed.
func (p Dirs) Make() error {
	if err := p.check(); err != nil {
		return err
	}
	for _, d := range p.all() {
		err := os.MkdirAll(d.dir, 0o750)
		if err == nil {
			err = closeToOthers(d.dir)
		}
		if err == nil {
			err = writable(d.dir)
		}
		if f, ok := errors.AsType[*untrusted](err); ok {
			return f.problem(d.dir, d.flag)
		}
		if err != nil {
			return dirProblem(d.dir, d.flag, err)
		}
	}
	return nil
}

func dirProblem(dir, flag string, err error) *team.Problem {
	p := &team.Problem{Kind: team.Failed, What: "prepare " + dir, Why: err.Error(),
		Fix: "make room there, or name another place with --" + flag, Err: err}
	if os.IsPermission(err) {
		p.Kind, p.Fix = team.NotPermitted, "run it as root: sudo nicteam …"
	}
	return p
}

// writable writes and syncs a small file in dir and takes it away again.
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

// teams are the names of those that run or left something to restore.
func (p Dirs) teams() ([]string, error) {
	running, err := teamsWith(p.RunDir, ".sock")
	if err != nil {
		return nil, err
	}
	left, err := teamsWith(p.StateDir, ".journal")
	if err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(name string) bool { return host.Ended(p.StateDir, name) })
	names := append(running, left...)
	sort.Strings(names)
	return slices.Compact(names), nil
}

// teamsWith returns the teams that have a file with the suffix in dir, sorted; none where there is no such directory.
func teamsWith(dir string, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, control.Unreadable(dir, err)
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

// HistoryFile and events are what a team knows of its past, for its next process.
func (p Dirs) HistoryFile(name string) string { return filepath.Join(p.StateDir, name+".history") }
func (p Dirs) EventsFile(name string) string  { return filepath.Join(p.StateDir, name+".events") }

// RemoveHistory removes what is kept of a team's past.
func (p Dirs) RemoveHistory(name string) {
	for _, path := range []string{p.HistoryFile(name), p.EventsFile(name)} {
		atomicfile.Remove(path)
	}
}

// Persistent reports whether a team that was stopped is configured for another start. Of one that is not, nothing is to be left.
func (p Dirs) Persistent(name string) bool {
	_, err := os.Stat(p.configFile(name))
	return err == nil
}

// LACPStateFile is what 802.3ad goes on with when another process takes this one's place. It lies beside the socket: what
// partners think of us does not outlive a boot.
func (p Dirs) LACPStateFile(name string) string { return filepath.Join(p.RunDir, name+".lacp") }

// RemoveLACPState removes it: partners have been told farewell, or will find a new team there.
func (p Dirs) RemoveLACPState(name string) {
	atomicfile.Remove(p.LACPStateFile(name))
}
