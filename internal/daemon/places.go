package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/host"
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

// place is a directory and the flag that names it.
type place struct{ flag, dir string }

func (p Places) all() []place {
	return []place{{"run-dir", p.RunDir}, {"state-dir", p.StateDir}, {"config-dir", p.ConfigDir}}
}

// check refuses directories in which others have had a say. It changes nothing.
func (p Places) check() error {
	for _, d := range p.all() {
		err := trusted(d.dir)
		if f, ok := errors.AsType[*foreign](err); ok {
			return f.problem(d.dir, d.flag)
		}
		if err != nil {
			return placeProblem(d.dir, d.flag, err)
		}
	}
	return nil
}

// make creates the directories, 0750, and proves that they are nobody else's and can be written before anything else is changed.
func (p Places) make() error {
	if err := p.check(); err != nil {
		return err
	}
	for _, d := range p.all() {
		err := os.MkdirAll(d.dir, 0o750)
		if err == nil {
			err = claim(d.dir)
		}
		if err == nil {
			err = writable(d.dir)
		}
		if f, ok := errors.AsType[*foreign](err); ok {
			return f.problem(d.dir, d.flag)
		}
		if err != nil {
			return placeProblem(d.dir, d.flag, err)
		}
	}
	return nil
}

func placeProblem(dir, flag string, err error) *api.Problem {
	p := &api.Problem{Code: api.Failed, What: "prepare " + dir, Why: err.Error(),
		Fix: "make room there, or name another place with --" + flag, Err: err}
	if os.IsPermission(err) {
		p.Code, p.Fix = api.NotPermitted, "run it as root: sudo nicteam …"
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
func (p Places) teams() ([]string, error) {
	running, err := named(p.RunDir, ".sock")
	if err != nil {
		return nil, err
	}
	left, err := named(p.StateDir, ".journal")
	if err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(name string) bool { return host.Ended(p.StateDir, name) })
	names := append(running, left...)
	sort.Strings(names)
	return slices.Compact(names), nil
}

// named returns the teams that have a file with the suffix in dir, sorted; none where there is no such directory.
func named(dir string, suffix string) ([]string, error) {
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
