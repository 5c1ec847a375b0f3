package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"nicteam/internal/host"
	"nicteam/team"
)

// Places are the directories of nicteam; all three must be set.
type Places struct {
	RunDir    string // sockets and locks
	StateDir  string // journals, logs and the past
	ConfigDir string // TEAM.yaml
}

func (p Places) socket(name string) string { return filepath.Join(p.RunDir, name+".sock") }
func (p Places) lock(name string) string   { return filepath.Join(p.RunDir, name+".lock") }
func (p Places) log(name string) string    { return filepath.Join(p.StateDir, name+".log") }
func (p Places) config(name string) string { return filepath.Join(p.ConfigDir, name+".yaml") }

func (p Places) journal(name string) string {
	return filepath.Join(p.StateDir, name+".journal")
}

// running is where a team's process finds its settings as they are now.
func (p Places) running(name string) string { return filepath.Join(p.RunDir, name+".yaml") }

// saved are the files that follow the settings of a running team: the one for a next start by hand, and
// where there is one the one for a next boot.
func (p Places) saved(name string) []string {
	files := []string{p.running(name)}
	if _, err := os.Stat(p.config(name)); err == nil {
		files = append(files, p.config(name))
	}
	return files
}

// make creates the directories, 0750, and proves that they can be written before anything else is changed.
func (p Places) make() error {
	for _, d := range []struct{ flag, dir string }{{"run-dir", p.RunDir}, {"state-dir", p.StateDir}, {"config-dir", p.ConfigDir}} {
		err := os.MkdirAll(d.dir, 0o750)
		if err == nil {
			err = writable(d.dir)
		}
		if err != nil {
			p := &team.Problem{Kind: team.Failed, What: "prepare " + d.dir, Why: err.Error(),
				Fix: "make room there, or name another place with --" + d.flag, Err: err}
			if os.IsPermission(err) {
				p.Kind, p.Fix = team.NotPermitted, "run it as root: sudo nicteam …"
			}
			return p
		}
	}
	return nil
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
func (p Places) teams() []string {
	left := slices.DeleteFunc(named(p.StateDir, ".journal"), func(name string) bool { return host.Ended(p.StateDir, name) })
	names := append(named(p.RunDir, ".sock"), left...)
	sort.Strings(names)
	return slices.Compact(names)
}

// named returns the teams that have a file with one of the suffixes in dir, sorted.
func named(dir string, suffix string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && name != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}
